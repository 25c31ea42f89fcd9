// Who is next for one tool, and a place at the end of the queue.
import { useState } from 'preact/hooks'
import { type Member, Refused, type ToolDetails, write } from './api'
import { useLoaded } from './load'
import { Problem } from './Problem'
import type { ToolQueue } from './reservations'
import './styles/reservations.css'
import { count, shortDay } from './words'

export function Queue({ tool }: { tool: ToolDetails }) {
  // A loan or a return moves the queue, so its address changes with the tool's state.
  const { data, replace } = useLoaded<ToolQueue>(`/tools/${tool.id}/reservations?at=${tool.due_on ?? ''}`)
  const { data: members } = useLoaded<Member[]>('/members')
  const [problem, setProblem] = useState<Refused | null>(null)
  if (!data) return null

  const reserve = async (event: SubmitEvent) => {
    event.preventDefault()
    const form = event.currentTarget as HTMLFormElement
    const fields = new FormData(form)
    setProblem(null)
    try {
      replace(
        await write<ToolQueue>(`/tools/${tool.id}/reservations`, {
          member_id: Number(fields.get('member')),
          purpose: String(fields.get('purpose')),
        }),
      )
      form.reset()
    } catch (reason) {
      setProblem(reason instanceof Refused ? reason : new Refused(0, 'unexpected', String(reason)))
    }
  }

  return (
    <section class="queue" aria-labelledby="queue">
      <h2 id="queue">Next in the queue</h2>
      <p class="by">Usually lent for {count(data.loan_days, 'day')}</p>
      <ol>
        {data.reservations.map((reservation) => (
          <li key={reservation.id}>
            <strong>{reservation.member}</strong>
            <span>
              {shortDay(reservation.starts_on)} to {shortDay(reservation.ends_on)}
            </span>
            <span class="by">{reservation.purpose}</span>
          </li>
        ))}
      </ol>
      <form class="desk" onSubmit={reserve}>
        <label>
          Neighbour
          <select name="member" required>
            <option value="">Choose</option>
            {members?.map((member) => (
              <option key={member.id} value={member.id}>
                {member.name}
              </option>
            ))}
          </select>
        </label>
        <label>
          What for
          <input name="purpose" maxLength={80} />
        </label>
        <button class="act">Reserve from {shortDay(data.next_free_on)}</button>
        {problem && <Problem problem={problem} />}
      </form>
    </section>
  )
}

import { useState } from 'preact/hooks'
import { type Member, Refused, type ToolDetails, write } from './api'
import { useLoaded } from './load'
import { Problem } from './Problem'

interface LendFormProps {
  tool: ToolDetails
  onChange: (tool: ToolDetails) => void
}

/** Lend a tool that is in, or take back one that is out. */
export function LendForm({ tool, onChange }: LendFormProps) {
  const [problem, setProblem] = useState<Refused | null>(null)
  const [busy, setBusy] = useState(false)
  const send = async (path: string, body?: object) => {
    setBusy(true)
    setProblem(null)
    try {
      onChange(await write<ToolDetails>(`/tools/${tool.id}/${path}`, body))
    } catch (reason) {
      setProblem(reason instanceof Refused ? reason : new Refused(0, 'unexpected', String(reason)))
    } finally {
      setBusy(false)
    }
  }
  return (
    <div class="desk">
      {tool.state === 'in' ? (
        <Lend busy={busy} onLend={(wanted) => send('lend', wanted)} />
      ) : (
        <>
          <p>
            With <strong>{tool.borrower}</strong>
          </p>
          <button type="button" class="act" disabled={busy} onClick={() => send('return')}>
            Take it back
          </button>
        </>
      )}
      {problem && <Problem problem={problem} />}
    </div>
  )
}

interface LendProps {
  busy: boolean
  onLend: (wanted: { member_id: number; days: number; purpose: string }) => void
}

function Lend({ busy, onLend }: LendProps) {
  const { data: members } = useLoaded<Member[]>('/members')
  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget as HTMLFormElement)
    onLend({
      member_id: Number(form.get('member')),
      days: Number(form.get('days')),
      purpose: String(form.get('purpose')),
    })
  }
  return (
    <form onSubmit={submit}>
      <label>
        Neighbour
        <select name="member" required>
          <option value="">Choose</option>
          {members?.map((member) => (
            <option key={member.id} value={member.id}>
              {member.name}, {member.street}
            </option>
          ))}
        </select>
      </label>
      <label>
        For
        <select name="days">
          <option value="3">3 days</option>
          <option value="7" selected>
            a week
          </option>
          <option value="14">two weeks</option>
        </select>
      </label>
      <label class="wide">
        What for
        <input name="purpose" maxLength={80} placeholder="The front hedge" />
      </label>
      <button class="act" disabled={busy}>
        Lend it
      </button>
    </form>
  )
}

import type { OpenLoan } from '../api'
import { Glyph } from '../glyphs'
import { useLoaded } from '../load'
import { Problem } from '../Problem'
import { Link } from '../router'
import { useTitle } from '../title'
import { count, shortDay } from '../words'

export function OutNow() {
  useTitle('Out now')
  const { data: loans, problem } = useLoaded<OpenLoan[]>('/loans')
  const late = loans?.filter((loan) => loan.days_late > 0).length ?? 0
  return (
    <>
      <div class="heading">
        <h1>Out now</h1>
        {loans && (
          <p class="strapline">
            {count(loans.length, 'tool is', 'tools are')} in somebody’s house
            {late > 0 && `, ${late} of them longer than promised`}.
          </p>
        )}
      </div>
      {problem && <Problem problem={problem} />}
      <ul class="out-list">
        {loans?.map((loan) => (
          <li key={loan.id} class={loan.days_late ? 'late' : undefined}>
            <Link to={`/tools/${loan.tool_id}`} class="out-row">
              <Glyph name={loan.glyph} />
              <span class="name">{loan.tool}</span>
              <span class="who">
                {loan.member}, {loan.street}
              </span>
              <span class="purpose">{loan.purpose}</span>
              <span class="due">
                <time dateTime={loan.due_on}>{shortDay(loan.due_on)}</time>
                {loan.days_late > 0 && <em>{count(loan.days_late, 'day')} late</em>}
              </span>
            </Link>
          </li>
        ))}
      </ul>
    </>
  )
}

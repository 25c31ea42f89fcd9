import type { Loan, Note, ToolDetails } from '../api'
import { Glyph } from '../glyphs'
import { LendForm } from '../LendForm'
import { useLoaded } from '../load'
import { Problem } from '../Problem'
import { Queue } from '../Queue'
import { Link } from '../router'
import type { PageProps } from '../routes'
import { Status } from '../Status'
import { useTitle } from '../title'
import { count, daysBetween, plainDay, shortDay } from '../words'

export function ToolPage({ caught }: PageProps) {
  const { data: tool, problem, replace } = useLoaded<ToolDetails>(`/tools/${caught}`)
  useTitle(tool?.name ?? 'A tool')
  if (!tool) return problem && <Problem problem={problem} />
  return (
    <article>
      <p class="trail">
        <Link to="/">The wall</Link> / <Link to={`/?shelf=${tool.shelf}`}>{tool.shelf_name}</Link>
      </p>
      <div class="tool">
        <div class="panel">
          <Glyph name={tool.glyph} away={tool.state !== 'in'} />
        </div>
        <div class="about">
          <h1>{tool.name}</h1>
          <p class="strapline">{tool.description}</p>
          <p class="state">
            <Status tool={tool} />
          </p>
          <LendForm tool={tool} onChange={replace} />
          <dl class="facts">
            <dt>Maker</dt>
            <dd>{tool.maker}</dd>
            <dt>In the shed since</dt>
            <dd>{plainDay(tool.acquired_on)}</dd>
            {tool.given_by && <dt>A gift of</dt>}
            {tool.given_by && <dd>{tool.given_by}</dd>}
          </dl>
        </div>
      </div>
      <div class="records">
        <History loans={tool.loans} />
        <div>
          <Queue tool={tool} />
          <Notes notes={tool.notes} />
        </div>
      </div>
    </article>
  )
}

function History({ loans }: { loans: Loan[] }) {
  return (
    <section class="history" aria-labelledby="history">
      <h2 id="history">Loan card</h2>
      {loans.length === 0 && <p>Nobody has borrowed it yet.</p>}
      {loans.length > 0 && (
        <table>
          <caption>Lent {count(loans.length, 'time')}</caption>
          <thead>
            <tr>
              <th scope="col">Lent</th>
              <th scope="col">Neighbour</th>
              <th scope="col">What for</th>
              <th scope="col">Back</th>
            </tr>
          </thead>
          <tbody>
            {loans.map((loan) => (
              <tr key={loan.id} class={loan.returned_on ? undefined : 'open'}>
                <td>
                  <time dateTime={loan.lent_on}>{plainDay(loan.lent_on)}</time>
                </td>
                <th scope="row">{loan.member}</th>
                <td>{loan.purpose}</td>
                <td>
                  <Back loan={loan} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  )
}

function Back({ loan }: { loan: Loan }) {
  if (!loan.returned_on) return <>due {shortDay(loan.due_on)}</>
  const late = daysBetween(loan.due_on, loan.returned_on)
  return (
    <>
      <time dateTime={loan.returned_on}>{shortDay(loan.returned_on)}</time>
      {late > 0 && <em>{count(late, 'day')} late</em>}
    </>
  )
}

function Notes({ notes }: { notes: Note[] }) {
  return (
    <section class="notes" aria-labelledby="notes">
      <h2 id="notes">Pencilled at the desk</h2>
      {notes.length === 0 && <p>Nothing so far.</p>}
      <ul>
        {notes.map((note) => (
          <li key={note.id} class={note.kind}>
            {note.kind === 'asks' ? (
              <p>
                <strong>{note.member}</strong> asks for it next: {note.body}
              </p>
            ) : (
              <p>{note.body}</p>
            )}
            <p class="by">
              <time dateTime={note.written_on}>{plainDay(note.written_on)}</time>
              {note.kind === 'condition' && `, ${note.member}`}
            </p>
          </li>
        ))}
      </ul>
    </section>
  )
}

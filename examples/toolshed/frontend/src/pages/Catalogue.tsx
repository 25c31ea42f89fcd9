import type { Desk, Shelf, Tool } from '../api'
import { Glyph } from '../glyphs'
import { useLoaded } from '../load'
import { Problem } from '../Problem'
import { Link } from '../router'
import type { PageProps } from '../routes'
import { asQuery, Search, wantedIn } from '../Search'
import { Status } from '../Status'
import { useTitle } from '../title'
import { count } from '../words'

export function Catalogue({ address }: PageProps) {
  useTitle('The wall')
  const wanted = wantedIn(address)
  const { data: desk } = useLoaded<Desk>('/desk')
  const { data: shelves } = useLoaded<Shelf[]>('/shelves')
  const { data: tools, problem, busy } = useLoaded<Tool[]>(`/tools${asQuery(wanted)}`)
  const shown = (shelves ?? [])
    .map((shelf) => ({ ...shelf, items: tools?.filter((tool) => tool.shelf === shelf.slug) ?? [] }))
    .filter(({ items }) => items.length > 0)

  return (
    <>
      {desk && <Season desk={desk} />}
      <Search wanted={wanted} shelves={shelves ?? []} />
      {problem && <Problem problem={problem} />}
      <p class="found" role="status">
        {tools && (tools.length ? count(tools.length, 'tool') : 'No tool on this wall answers to that.')}
      </p>
      <div class="wall" aria-busy={busy}>
        {shown.map((shelf) => (
          <section key={shelf.slug} aria-labelledby={`shelf-${shelf.slug}`}>
            <h2 id={`shelf-${shelf.slug}`}>{shelf.name}</h2>
            <ul class="cards">
              {shelf.items.map((tool) => (
                <Card key={tool.id} tool={tool} />
              ))}
            </ul>
          </section>
        ))}
      </div>
    </>
  )
}

function Season({ desk }: { desk: Desk }) {
  return (
    <div class="season">
      <div>
        <h1>{desk.season_name}</h1>
        <p class="strapline">{desk.strapline}</p>
      </div>
      <dl class="tally">
        <div>
          <dt>on the wall</dt>
          <dd>{desk.tools - desk.lent}</dd>
        </div>
        <div>
          <dt>
            <Link to="/out">lent out</Link>
          </dt>
          <dd>{desk.lent}</dd>
        </div>
        <div class={desk.late ? 'late' : undefined}>
          <dt>late</dt>
          <dd>{desk.late}</dd>
        </div>
      </dl>
    </div>
  )
}

function Card({ tool }: { tool: Tool }) {
  return (
    <li>
      <Link to={`/tools/${tool.id}`} class="card">
        <span class="peg">
          <Glyph name={tool.glyph} away={tool.state !== 'in'} />
        </span>
        <span class="name">{tool.name}</span>
        <span class="maker">{tool.maker}</span>
        <Status tool={tool} />
      </Link>
    </li>
  )
}

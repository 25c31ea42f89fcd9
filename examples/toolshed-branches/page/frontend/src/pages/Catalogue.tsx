import type { Desk, Shelf, Tool } from '../api'
import { Board } from '../Board'
import { useLoaded } from '../load'
import { Problem } from '../Problem'
import type { PageProps } from '../routes'
import { asQuery, Search, wantedIn } from '../Search'
import { useTitle } from '../title'
import { count } from '../words'

export function Catalogue({ address }: PageProps) {
  useTitle('The shadow board')
  const wanted = wantedIn(address)
  const { data: desk } = useLoaded<Desk>('/desk')
  const { data: shelves } = useLoaded<Shelf[]>('/shelves')
  const { data: tools, problem, busy } = useLoaded<Tool[]>(`/tools${asQuery(wanted)}`)
  const shown = (shelves ?? [])
    .map((shelf) => ({ ...shelf, items: tools?.filter((tool) => tool.shelf === shelf.slug) ?? [] }))
    .filter(({ items }) => items.length > 0)

  return (
    <>
      {desk && (
        <div class="heading">
          <h1>{desk.season_name} on the board</h1>
          <p class="strapline">
            {count(desk.tools - desk.lent, 'tool hangs', 'tools hang')} here now. A painted shadow
            is a tool in somebody’s house, and its tag says until when.
          </p>
        </div>
      )}
      <Search wanted={wanted} shelves={shelves ?? []} />
      {problem && <Problem problem={problem} />}
      <p class="found" role="status">
        {tools && (tools.length ? count(tools.length, 'tool') : 'No tool on this wall answers to that.')}
      </p>
      <div class="boards" aria-busy={busy}>
        {shown.map((shelf) => (
          <Board key={shelf.slug} slug={shelf.slug} name={shelf.name} tools={shelf.items} />
        ))}
      </div>
    </>
  )
}

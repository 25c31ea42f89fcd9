// The search over the wall; what is looked for stands in the address and nowhere else.
import type { Shelf } from './api'
import { go } from './router'

export interface Wanted {
  q: string
  shelf: string
  available: boolean
}

export function wantedIn(address: URL): Wanted {
  const asked = address.searchParams
  return {
    q: asked.get('q') ?? '',
    shelf: asked.get('shelf') ?? '',
    available: asked.has('available'),
  }
}

export function asQuery({ q, shelf, available }: Wanted): string {
  const query = new URLSearchParams()
  if (q.trim()) query.set('q', q)
  if (shelf) query.set('shelf', shelf)
  if (available) query.set('available', 'true')
  return query.size ? `?${query}` : ''
}

interface SearchProps {
  wanted: Wanted
  shelves: Shelf[]
}

export function Search({ wanted, shelves }: SearchProps) {
  const look = (change: Partial<Wanted>) => go(`/${asQuery({ ...wanted, ...change })}`, 'replace')
  return (
    <form class="search" role="search" onSubmit={(event) => event.preventDefault()}>
      <label class="words">
        <span class="unseen">Search the wall</span>
        <input
          type="search"
          placeholder="What do you need?"
          value={wanted.q}
          onInput={(event) => look({ q: event.currentTarget.value })}
        />
      </label>
      <label class="tick">
        <input
          type="checkbox"
          checked={wanted.available}
          onChange={(event) => look({ available: event.currentTarget.checked })}
        />
        Only what is in
      </label>
      <div class="chips" role="group" aria-label="Shelves">
        {[{ slug: '', name: 'Everything' }, ...shelves].map(({ slug, name }) => (
          <button
            type="button"
            key={slug}
            aria-pressed={wanted.shelf === slug}
            onClick={() => look({ shelf: slug })}
          >
            {name}
          </button>
        ))}
      </div>
    </form>
  )
}

// A shelf as a shadow board: what is in hangs in full colour, what is out leaves its shadow.
import type { Tool } from './api'
import { Glyph } from './glyphs'
import { Link } from './router'
import './styles/board.css'
import { shortDay } from './words'

interface BoardProps {
  slug: string
  name: string
  tools: Tool[]
}

export function Board({ slug, name, tools }: BoardProps) {
  const here = tools.filter((tool) => tool.state === 'in').length
  return (
    <section class="board" aria-labelledby={`board-${slug}`}>
      <header>
        <h2 id={`board-${slug}`}>{name}</h2>
        <p>
          {here} of {tools.length} in
        </p>
        <span class="pips" aria-hidden="true">
          {tools.map((tool) => (
            <i key={tool.id} class={tool.state} />
          ))}
        </span>
      </header>
      <ul>
        {tools.map((tool) => (
          <li key={tool.id}>
            <Hook tool={tool} />
          </li>
        ))}
      </ul>
    </section>
  )
}

function Hook({ tool }: { tool: Tool }) {
  const away = tool.state !== 'in'
  return (
    <Link to={`/tools/${tool.id}`} class="hook">
      <span class="hang">
        <Glyph name={tool.glyph} away={away} />
        {away && tool.due_on && (
          <span class={`tag ${tool.state}`}>
            <span class="unseen">{tool.state === 'late' ? 'Late, was due ' : 'Back '}</span>
            <time dateTime={tool.due_on}>{shortDay(tool.due_on)}</time>
          </span>
        )}
      </span>
      <span class="name">{tool.name}</span>
      {!away && <span class="unseen">On the wall</span>}
    </Link>
  )
}

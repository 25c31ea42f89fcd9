import type { Tool } from './api'
import { shortDay } from './words'

/** In one line: on the wall, out until a day, or late since one. */
export function Status({ tool }: { tool: Tool }) {
  if (tool.state === 'in' || !tool.due_on) return <span class="status in">On the wall</span>
  const words = tool.state === 'late' ? 'Late, was due' : 'Back'
  return (
    <span class={`status ${tool.state}`}>
      {words} <time dateTime={tool.due_on}>{shortDay(tool.due_on)}</time>
    </span>
  )
}

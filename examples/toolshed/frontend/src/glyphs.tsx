// The silhouettes on the wall, drawn for this shed.
import { HAND_TOOLS } from './drawings/hand'
import { MACHINES } from './drawings/machines'
import type { Drawings } from './drawings/types'

const DRAWINGS: Drawings = { ...HAND_TOOLS, ...MACHINES }

interface GlyphProps {
  name: string
  /** The tool is out: only its painted outline is left on the wall. */
  away?: boolean
}

export function Glyph({ name, away = false }: GlyphProps) {
  const draw = DRAWINGS[name] ?? DRAWINGS.hammer!
  return (
    <svg class={away ? 'glyph away' : 'glyph'} viewBox="0 0 64 64" aria-hidden="true" focusable="false">
      {draw()}
    </svg>
  )
}

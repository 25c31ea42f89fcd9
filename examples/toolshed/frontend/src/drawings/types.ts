// A drawing lies on a field of 64 by 64 and names its materials: wood, iron, paint, hole.
import type { ComponentChildren } from 'preact'

export type Drawings = Record<string, () => ComponentChildren>

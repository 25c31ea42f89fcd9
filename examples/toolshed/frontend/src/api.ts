// The desk's API, typed as it answers.

export type ToolState = 'in' | 'out' | 'late'

export interface Desk {
  season: string
  season_name: string
  strapline: string
  today: string
  tools: number
  lent: number
  late: number
  loans: number
}

export interface Shelf {
  slug: string
  name: string
  tools: number
}

export interface Member {
  id: number
  name: string
  street: string
}

export interface Tool {
  id: number
  name: string
  maker: string
  glyph: string
  shelf: string
  state: ToolState
  borrower: string | null
  due_on: string | null
}

export interface Loan {
  id: number
  member: string
  street: string
  lent_on: string
  due_on: string
  returned_on: string | null
  purpose: string
}

export interface OpenLoan extends Loan {
  tool_id: number
  tool: string
  glyph: string
  days_late: number
}

export interface Note {
  id: number
  kind: 'condition' | 'asks'
  body: string
  member: string
  written_on: string
}

export interface ToolDetails extends Tool {
  shelf_name: string
  description: string
  acquired_on: string
  given_by: string | null
  loans: Loan[]
  notes: Note[]
}

export interface SlotState {
  slot_id: string
  run_id: string
  database: string
}

/** A refusal of the desk, with its sentence for people. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message)
  }
}

const BASE = import.meta.env.VITE_API_BASE_URL ?? '/api'
const ATTEMPTS = 3

export async function read<T>(path: string, signal?: AbortSignal): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask<T>(path, { signal })
    } catch (problem) {
      // The database may be swapped for a fresh one at this moment; reading again is harmless.
      const away = problem instanceof Refused && problem.status === 503
      if (!away || attempt === ATTEMPTS) throw problem
      await new Promise((resolve) => setTimeout(resolve, attempt * 400))
    }
  }
}

export function write<T>(path: string, body: object = {}): Promise<T> {
  return ask<T>(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })
}

async function ask<T>(path: string, init: RequestInit): Promise<T> {
  let answer: Response
  try {
    answer = await fetch(BASE + path, init)
  } catch (problem) {
    if (init.signal?.aborted) throw problem
    throw new Refused(0, 'unreachable', 'The desk does not answer. Is the backend running?')
  }
  const body = await answer.json().catch(() => null)
  if (answer.ok && body !== null) return body as T
  throw new Refused(
    answer.status,
    body?.error ?? 'unexpected',
    body?.message ?? `The desk answered with ${answer.status}.`,
  )
}

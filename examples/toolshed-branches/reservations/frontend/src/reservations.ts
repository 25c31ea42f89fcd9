// What the desk answers about reservations.

export interface Reservation {
  id: number
  tool_id: number
  tool: string
  glyph: string
  member: string
  starts_on: string
  ends_on: string
  placed_on: string
  purpose: string
}

export interface ToolQueue {
  loan_days: number
  next_free_on: string
  reservations: Reservation[]
}

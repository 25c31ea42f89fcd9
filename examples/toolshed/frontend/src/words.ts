// Dates and counts in words. Days are calendar days of the desk: no time zone touches them.

const day = (iso: string) => new Date(`${iso}T12:00:00Z`)
const format = (options: Intl.DateTimeFormatOptions) =>
  new Intl.DateTimeFormat('en-GB', { ...options, timeZone: 'UTC' })

const SHORT = format({ weekday: 'short', day: 'numeric', month: 'short' })
const PLAIN = format({ day: 'numeric', month: 'short', year: 'numeric' })
const LONG = format({ weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' })

export const shortDay = (iso: string) => SHORT.format(day(iso)).replace(',', '')
export const plainDay = (iso: string) => PLAIN.format(day(iso))
export const longDay = (iso: string) => LONG.format(day(iso)).replace(',', '')

export const daysBetween = (from: string, to: string) =>
  Math.round((day(to).getTime() - day(from).getTime()) / 86_400_000)

export const count = (n: number, one: string, many = `${one}s`) => `${n} ${n === 1 ? one : many}`

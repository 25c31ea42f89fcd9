import { useState } from 'preact/hooks'
import { type Refused, write } from '../api'
import { Glyph } from '../glyphs'
import { useLoaded } from '../load'
import { Problem } from '../Problem'
import type { Reservation } from '../reservations'
import { Link } from '../router'
import '../styles/reservations.css'
import { useTitle } from '../title'
import { count, shortDay } from '../words'

export function Reservations() {
  useTitle('Reservations')
  const { data, problem, replace } = useLoaded<Reservation[]>('/reservations')
  const days = [...new Set(data?.map((reservation) => reservation.starts_on))]
  const [refused, setRefused] = useState<Refused | null>(null)
  const cancel = (id: number) =>
    write<Reservation[]>(`/reservations/${id}/cancel`).then(
      (left) => {
        setRefused(null)
        replace(left)
      },
      (reason: Refused) => setRefused(reason),
    )
  return (
    <>
      <div class="heading">
        <h1>Reservations</h1>
        {data && (
          <p class="strapline">
            {data.length
              ? `${count(data.length, 'turn')} promised. Each begins the day after the one before it ends.`
              : 'Nobody is waiting. Reserve a tool from its own page.'}
          </p>
        )}
      </div>
      {(refused ?? problem) && <Problem problem={(refused ?? problem)!} />}
      <ol class="agenda">
        {days.map((starts_on) => (
          <li key={starts_on}>
            <h2>
              <time dateTime={starts_on}>{shortDay(starts_on)}</time>
            </h2>
            <ul>
              {data
                ?.filter((reservation) => reservation.starts_on === starts_on)
                .map((reservation) => (
                  <li key={reservation.id} class="turn">
                    <Glyph name={reservation.glyph} />
                    <p>
                      <Link to={`/tools/${reservation.tool_id}`}>{reservation.tool}</Link>
                      <span>
                        {reservation.member}, until {shortDay(reservation.ends_on)}
                      </span>
                      <span class="by">{reservation.purpose}</span>
                    </p>
                    <button type="button" onClick={() => cancel(reservation.id)}>
                      Cancel<span class="unseen"> {reservation.tool}, {reservation.member}</span>
                    </button>
                  </li>
                ))}
            </ul>
          </li>
        ))}
      </ol>
    </>
  )
}

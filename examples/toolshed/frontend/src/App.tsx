import { useEffect, useRef } from 'preact/hooks'
import type { Desk, SlotState } from './api'
import { useLoaded } from './load'
import { NotFound } from './pages/NotFound'
import { Link, useAddress } from './router'
import { ROUTES } from './routes'
import { longDay } from './words'

export function App() {
  const address = useAddress()
  const path = address.pathname.replace(/(.)\/+$/, '$1')
  const route = ROUTES.find(({ pattern }) => pattern.test(path))
  const Page = route?.page ?? NotFound
  const caught = route?.pattern.exec(path)?.[1] ?? ''
  const main = useRef<HTMLElement>(null)
  const arrived = useRef(false)
  const { data: desk } = useLoaded<Desk>('/desk')

  useEffect(() => {
    if (desk) document.documentElement.dataset.season = desk.season
  }, [desk?.season])
  useEffect(() => {
    // Someone who follows a link without seeing the page is told where they are now.
    if (arrived.current) main.current?.focus({ preventScroll: true })
    arrived.current = true
  }, [path])

  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header class="top">
        <Link to="/" class="brand">
          <svg viewBox="0 0 32 32" aria-hidden="true">
            <path d="M2 14 16 3l14 11v3h-2v12H4V17H2z" />
            <path class="hole" d="M15 15h3v12h-3zM9.500 11h11c1.500 0 2.700.8 3 2.300V15h-14z" />
          </svg>
          Toolshed
        </Link>
        <nav aria-label="Pages">
          {ROUTES.map(({ label, path: to, pattern }) =>
            label && to ? (
              <Link to={to} key={to} aria-current={pattern.test(path) ? 'page' : undefined}>
                {label}
              </Link>
            ) : null,
          )}
        </nav>
        {desk && <p class="today">{longDay(desk.today)}</p>}
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        <Page address={address} caught={caught} key={route?.pattern.source + caught} />
      </main>
      <Footer />
    </>
  )
}

function Footer() {
  const { data } = useLoaded<SlotState[]>('/slots')
  const slot = import.meta.env.VITE_SLOT_ID
  const state = data?.[0]
  return (
    <footer>
      <p>
        Open on Wednesday evenings and on Saturdays, behind the old bakery. The return box by the
        door is never locked.
      </p>
      {slot && (
        <p class="slot">
          {slot}
          {state && ` · run ${state.run_id} · ${state.database}`}
        </p>
      )}
    </footer>
  )
}

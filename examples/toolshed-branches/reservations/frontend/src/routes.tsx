// Every page there is and its address; the first that matches is shown.
import type { ComponentType } from 'preact'
import { Catalogue } from './pages/Catalogue'
import { OutNow } from './pages/OutNow'
import { Reservations } from './pages/Reservations'
import { ToolPage } from './pages/ToolPage'

export interface PageProps {
  address: URL
  /** What the address's pattern caught, for example the number of a tool. */
  caught: string
}

interface Route {
  pattern: RegExp
  page: ComponentType<PageProps>
  /** The page's name in the navigation; a page without one is reached by links. */
  label?: string
  path?: string
}

export const ROUTES: Route[] = [
  { pattern: /^\/$/, page: Catalogue, label: 'The wall', path: '/' },
  { pattern: /^\/out$/, page: OutNow, label: 'Out now', path: '/out' },
  { pattern: /^\/reservations$/, page: Reservations, label: 'Reservations', path: '/reservations' },
  { pattern: /^\/tools\/(\d+)$/, page: ToolPage },
]

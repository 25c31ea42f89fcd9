// Where we are, kept in the address: every page and every search can be sent to a neighbour.
import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'

const moved = new EventTarget()

export function go(address: string, how: 'push' | 'replace' = 'push'): void {
  if (how === 'push') history.pushState(null, '', address)
  else history.replaceState(null, '', address)
  moved.dispatchEvent(new Event('moved'))
  if (how === 'push') scrollTo(0, 0)
}

export function useAddress(): URL {
  const [href, setHref] = useState(location.href)
  useEffect(() => {
    const look = () => setHref(location.href)
    moved.addEventListener('moved', look)
    addEventListener('popstate', look)
    return () => {
      moved.removeEventListener('moved', look)
      removeEventListener('popstate', look)
    }
  }, [])
  return new URL(href)
}

type LinkProps = JSX.HTMLAttributes<HTMLAnchorElement> & {
  to: string
  class?: string
  children: ComponentChildren
}

export function Link({ to, children, ...rest }: LinkProps) {
  const follow = (event: MouseEvent) => {
    // A click with a modifier opens a tab: that one belongs to the browser.
    if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    event.preventDefault()
    go(to)
  }
  return (
    <a href={to} onClick={follow} {...rest}>
      {children}
    </a>
  )
}

import { Link } from '../router'
import { useTitle } from '../title'

export function NotFound() {
  useTitle('Nothing here')
  return (
    <div class="empty">
      <h1>Nothing hangs here</h1>
      <p>
        This address leads to no page. <Link to="/">Back to the wall</Link>
      </p>
    </div>
  )
}

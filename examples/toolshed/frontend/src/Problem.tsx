import type { Refused } from './api'

export function Problem({ problem }: { problem: Refused }) {
  return (
    <p class="problem" role="alert">
      {problem.message}
    </p>
  )
}

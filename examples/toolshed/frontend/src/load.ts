import { useEffect, useState } from 'preact/hooks'
import { read, Refused } from './api'

export interface Loaded<T> {
  data: T | null
  problem: Refused | null
  busy: boolean
  replace: (data: T) => void
}

/** Read `path` and again whenever it changes; what was shown stays until the new answer is there. */
export function useLoaded<T>(path: string): Loaded<T> {
  const [data, replace] = useState<T | null>(null)
  const [problem, setProblem] = useState<Refused | null>(null)
  const [busy, setBusy] = useState(true)
  useEffect(() => {
    const abandon = new AbortController()
    setBusy(true)
    read<T>(path, abandon.signal)
      .then((answer) => {
        replace(answer)
        setProblem(null)
        setBusy(false)
      })
      .catch((reason: unknown) => {
        if (abandon.signal.aborted) return
        setProblem(reason instanceof Refused ? reason : new Refused(0, 'unexpected', String(reason)))
        setBusy(false)
      })
    return () => abandon.abort()
  }, [path])
  return { data, problem, busy, replace }
}

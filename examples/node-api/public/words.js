const text = document.getElementById('text')
const list = document.getElementById('words')

text.addEventListener('input', async () => {
  const asked = text.value
  const response = await fetch(`/api/words?${new URLSearchParams({ text: asked })}`)
  // An answer to what stood there a moment ago is of no use any more.
  if (!response.ok || text.value !== asked) return
  const { words } = await response.json()
  const often = Object.entries(words).sort((one, other) => other[1] - one[1])
  list.replaceChildren(
    ...often.map(([word, times]) => {
      const item = document.createElement('li')
      item.textContent = times > 1 ? `${word}, ${times} times` : word
      return item
    }),
  )
})

import { render } from 'preact'
import { App } from './App'
import './styles/tokens.css'
import './styles/frame.css'
import './styles/glyphs.css'
import './styles/wall.css'
import './styles/tool.css'
import './styles/out.css'

const root = document.getElementById('app')
if (root) {
  root.replaceChildren()
  render(<App />, root)
}

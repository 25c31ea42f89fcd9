import { defineConfig } from 'vite'

// While developing, /api goes to the slot's backend as the web surface does it in a preview.
const proxy = {
  '/api': process.env.VITE_SLOT_BACKEND_URL ?? 'http://127.0.0.1:8101',
}

export default defineConfig({
  build: { target: 'es2022', assetsInlineLimit: 0 },
  server: { proxy },
  preview: { proxy },
})

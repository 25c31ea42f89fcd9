// What is moved by hand alone: blades, hammers, spanners and brushes.
import type { Drawings } from './types'

const DHandle = () => (
  <path class="wood" d="M25.5 4h13a2.5 2.5 0 0 1 0 5H34v29h-4V9h-4.500a2.5 2.5 0 0 1 0-5z" />
)

export const HAND_TOOLS: Drawings = {
  spade: () => (
    <>
      <DHandle />
      <path class="iron" d="M21 33h22v13c0 7-5 12-11 15-6-3-11-8-11-15z" />
    </>
  ),
  fork: () => (
    <>
      <DHandle />
      <path class="iron" d="M18 35a2 2 0 0 1 2-2h24a2 2 0 0 1 2 2v24l-2 3-2-3V38h-4.500v21l-2 3-2-3V38h-4v21l-2 3-2-3V38H22v21l-2 3-2-3z" />
    </>
  ),
  rake: () => (
    <>
      <rect class="wood" x="30" y="3" width="4" height="36" rx="2" />
      <path class="iron-line" d="M32 37 12 55v6M32 37 19 56v6M32 37l-5 20v5M32 37l5 20v5M32 37l13 19v6M32 37l20 18v6M20 50q12-5 24 0" />
    </>
  ),
  shears: () => (
    <>
      <path class="wood-line" d="m30 31-9-24M34 31l9-24" />
      <path class="iron" d="M29 26h6l-1 10 5 25-8-22zM35 26h-6l1 10-5 25 8-22z" />
      <circle class="dot" cx="32" cy="31" r="1.8" />
    </>
  ),
  loppers: () => (
    <>
      <path class="wood-line" d="m30 26-8 34M34 26l8 34" />
      <path class="iron" d="M35 29c-9-3-15-12-12-24 3 1 4 3 4 6 0 6 4 10 9 13zM29 29c7-2 12-8 12-17-3 0-5 1-6 4-1 4-4 6-7 8z" />
      <circle class="dot" cx="32" cy="25.5" r="1.8" />
    </>
  ),
  bowsaw: () => (
    <>
      <path class="paint-line" d="M10 50V38C10 10 54 10 54 38v12" />
      <path class="iron" d="M6 48h52v4l-2 3-2-3-2 3-2-3-2 3-2-3-2 3-2-3-2 3-2-3-2 3-2-3-2 3-2-3-2 3-2-3-2 3-2-3-2 3-2-3-2 3-2-3-2 3-2-3-2 3-2-3z" />
    </>
  ),
  cutters: () => (
    <>
      <path class="paint-line" d="m27 30-6 30M37 30l6 30" />
      <path class="iron" d="M24 22h16v11H24z" />
      <path class="iron" d="M31 22h-6c-4-6-4-12 0-18 2 5 3 8 6 10zM33 22h6c4-6 4-12 0-18-2 5-3 8-6 10z" />
      <circle class="dot" cx="28" cy="28" r="1.8" />
      <circle class="dot" cx="36" cy="28" r="1.8" />
    </>
  ),
  hammer: () => (
    <>
      <rect class="wood" x="29.5" y="16" width="6" height="45" rx="3" />
      <path class="iron" d="M14 7h6l2 2h16c9 0 14 4 17 12-6-4-11-5-17-4H22l-2 2h-6z" />
    </>
  ),
  mallet: () => (
    <>
      <rect class="wood" x="29" y="22" width="6" height="39" rx="3" />
      <path class="paint" d="M14 5h36l-3 21H17z" />
    </>
  ),
  saw: () => (
    <>
      <path class="iron" d="M23 22h22L37 61h-8l1.5-4-3-1 2-3-3-1 2-3-3-1 2-3-3-1 2-3-3-1 2-3-3-1 1-3-3-1 1-3z" />
      <path class="wood" fill-rule="evenodd" d="M20 4h24c4 0 5 3 4 6l-4 14H21c-3-3-5-6-5-11 0-5 0-9 4-9zm4 6c-2 5-1 8 2 9h12l3-9z" />
    </>
  ),
  plane: () => (
    <>
      <path class="iron" d="M4 41h56v9a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2zM26 41l9-20 5 2-7 18z" />
      <path class="wood" d="M44 41c2-8-4-10-2-18 3-2 8 0 8 4 0 5 4 8 4 14z" />
      <path class="wood" d="M11 41c0-3 1-4 1-6a6 6 0 1 1 10 0c0 2 1 3 1 6z" />
    </>
  ),
  chisel: () => (
    <>
      <path class="wood" d="M13 5h8l2 22H11zM28 5h8l2 22H26zM43 5h8l2 22H41z" />
      <path class="iron" d="M13.5 27h7v33l-7-5zM29.5 27h5v31l-5-4zM45.5 27h3v29l-3-3z" />
    </>
  ),
  clamp: () => (
    <>
      <path class="iron" d="M36 3h6v58h-6z" />
      <path class="iron" d="M15 3h27v8H15zM15 33h30v8H15z" />
      <path class="iron-line" d="M20 20v24" />
      <rect class="wood" x="15.5" y="43" width="9" height="18" rx="3.5" />
      <rect class="paint" x="15" y="17" width="10" height="5" rx="1" />
    </>
  ),
  bench: () => (
    <>
      <path class="iron-line" d="m14 28 8 29M50 28l-8 29M18 44h28" />
      <rect class="wood" x="4" y="18" width="56" height="10" rx="2" />
      <path class="hole" d="M10 22.200h44v1.600H10z" />
    </>
  ),
  spanner: () => (
    <>
      <path class="iron" d="M25 3v12l7 5 7-5V3c6 3 9 8 9 14 0 5-3 10-9 12v22a7 7 0 1 1-14 0V29c-6-2-9-7-9-12C16 11 19 6 25 3z" />
      <circle class="hole" cx="32" cy="51" r="2.8" />
    </>
  ),
  torque: () => (
    <>
      <path class="iron" d="M29.5 14h5v30h-5z" />
      <circle class="iron" cx="32" cy="11" r="8" />
      <rect class="hole" x="29" y="8" width="6" height="6" />
      <path class="paint" d="M28 42h8v15a4 4 0 0 1-8 0z" />
      <path class="wood" d="M28 36h8v5h-8z" />
    </>
  ),
  pliers: () => (
    <>
      <path class="paint-line" d="M28 28c-9 8-8 20-6 31M36 28c9 8 8 20 6 31" />
      <path class="iron" d="M31 3c-7 4-9 12-7 20l3 8h10l3-8c2-8 0-16-7-20v16h-2z" />
      <circle class="dot" cx="32" cy="26" r="2.2" />
    </>
  ),
  screwdriver: () => (
    <>
      <path class="paint" d="M26 3h12a3 3 0 0 1 3 3v16l-4 6h-10l-4-6V6a3 3 0 0 1 3-3z" />
      <path class="iron" d="M29.5 28h5v25l2 4v4h-9v-4l2-4z" />
    </>
  ),
  level: () => (
    <>
      <rect class="paint" x="3" y="23" width="58" height="18" rx="2" />
      <rect class="hole" x="24" y="27" width="16" height="10" rx="5" />
      <circle class="iron" cx="32" cy="32" r="2.8" />
      <circle class="hole" cx="11" cy="32" r="3.5" />
      <circle class="hole" cx="53" cy="32" r="3.5" />
    </>
  ),
  tape: () => (
    <>
      <path class="wood" d="M28 50h32v6H28zM57 50h4v10h-4z" />
      <circle class="paint" cx="29" cy="31" r="25" />
      <circle class="hole" cx="29" cy="31" r="14" />
      <circle class="iron" cx="29" cy="31" r="9" />
    </>
  ),
  roller: () => (
    <>
      <rect class="paint" x="9" y="5" width="40" height="15" rx="4" />
      <path class="iron-line" d="M49 12h8v16H32v10" />
      <rect class="wood" x="28" y="37" width="8" height="24" rx="4" />
    </>
  ),
  brush: () => (
    <>
      <path class="wood" d="M28 5a4 4 0 0 1 8 0l3 23H25z" />
      <rect class="iron" x="19" y="28" width="26" height="9" rx="1.5" />
      <path class="paint" d="M20 37h24l2 23-6-2-4 3-4-3-5 3-4-3-5 2z" />
    </>
  ),
  trowel: () => (
    <>
      <rect class="wood" x="28" y="3" width="8" height="20" rx="4" />
      <path class="iron-line" d="M32 22v10" />
      <path class="iron" d="M15 30h34L32 62z" />
    </>
  ),
}

// What has a motor, wheels or a frame.
import type { Drawings } from './types'

export const MACHINES: Drawings = {
  barrow: () => (
    <>
      <path class="wood-line" d="M15 49 58 27" />
      <path class="iron-line" d="m42 38 4 19" />
      <path class="paint" d="M8 17h42l-9 21H23z" />
      <circle class="iron" cx="15" cy="50" r="9" />
      <circle class="hole" cx="15" cy="50" r="3.5" />
    </>
  ),
  mower: () => (
    <>
      <path class="wood-line" d="M30 44 44 7M36 5l16 5" />
      <rect class="paint" x="13" y="40" width="38" height="13" rx="3" />
      <path class="iron-line" d="m19 53 8-13M29 53l8-13M39 53l8-13" />
      <circle class="iron" cx="14" cy="51" r="9" />
      <circle class="hole" cx="14" cy="51" r="3" />
      <circle class="iron" cx="50" cy="51" r="9" />
      <circle class="hole" cx="50" cy="51" r="3" />
    </>
  ),
  hose: () => (
    <>
      <circle class="paint-line" cx="30" cy="30" r="22" />
      <circle class="paint-line" cx="30" cy="30" r="14" />
      <path class="paint-line" d="M52 30v16" />
      <path class="iron" d="M48 44h8l2 15H46z" />
      <circle class="iron" cx="30" cy="30" r="5" />
    </>
  ),
  drill: () => (
    <>
      <path class="iron" d="M44 16h7v12h-7zM51 20h11v4H51z" />
      <path class="paint" d="M8 13a3 3 0 0 1 3-3h30a4 4 0 0 1 4 4v16a4 4 0 0 1-4 4H28l-3 15H11l3-15h-3a3 3 0 0 1-3-3z" />
      <path class="iron" d="M8 47h21v8a2 2 0 0 1-2 2H10a2 2 0 0 1-2-2zM30 34h5l-2 6h-4z" />
    </>
  ),
  jigsaw: () => (
    <>
      <path class="paint" fill-rule="evenodd" d="M10 12c0-4 3-6 7-6h28c8 0 11 6 11 12v20H16c-4 0-6-3-6-7zm10 4v8h22c0-5-2-8-6-8z" />
      <path class="iron" d="M6 38h52v6H6zM46 44h5v18l-5-5z" />
    </>
  ),
  circsaw: () => (
    <>
      <circle class="iron toothed" cx="30" cy="40" r="18" />
      <circle class="hole" cx="30" cy="40" r="2.5" />
      <path class="paint" d="M8 38a22 22 0 0 1 44 0z" />
      <path class="paint-line" d="M38 18c6-10 18-8 18 4v10" />
      <path class="iron" d="M4 44h20v4H4zM38 44h22v4H38z" />
    </>
  ),
  sander: () => (
    <>
      <path class="paint" d="M16 42c0-8 4-10 4-18 0-9 5-14 14-14 8 0 14 4 14 12 0 7-3 8-3 12l3 8z" />
      <path class="iron" d="M10 42h44v7H10z" />
      <path class="wood" d="M8 49h48v5a2 2 0 0 1-2 2H10a2 2 0 0 1-2-2z" />
      <path class="iron" d="M48 20h9v8h-9z" />
    </>
  ),
  ladder: () => (
    <>
      <path class="wood-line" d="M22 4 15 60M42 4l7 56" />
      <path class="iron-line" d="M21 14h22M20 24h24M19 34h26M18 44h28M17 54h30" />
    </>
  ),
  sacktruck: () => (
    <>
      <path class="paint-line" d="M24 46V12c0-8 12-8 12-1" />
      <path class="paint-line" d="M24 22h14M24 34h14" />
      <path class="iron" d="M20 51h38v5H20z" />
      <circle class="iron" cx="20" cy="51" r="9" />
      <circle class="hole" cx="20" cy="51" r="3.5" />
    </>
  ),
  washer: () => (
    <>
      <path class="iron-line" d="M21 24V8h22v16" />
      <path class="paint" d="M13 22h38v28a3 3 0 0 1-3 3H16a3 3 0 0 1-3-3z" />
      <circle class="hole" cx="32" cy="35" r="7" />
      <circle class="iron" cx="32" cy="35" r="4" />
      <circle class="iron" cx="17" cy="53" r="7" />
      <circle class="iron" cx="47" cy="53" r="7" />
      <path class="iron-line" d="M57 8v40" />
    </>
  ),
  vacuum: () => (
    <>
      <path class="paint-line" d="M34 14c8-12 22-6 22 8v26" />
      <path class="iron" d="M50 46h12v5l-2 5h-8z" />
      <path class="paint" d="M8 24h34v26H8z" />
      <path class="iron" d="M12 12h26l4 12H8z" />
      <circle class="iron" cx="14" cy="54" r="6" />
      <circle class="iron" cx="36" cy="54" r="6" />
    </>
  ),
  pan: () => (
    <>
      <path class="iron-line" d="M12 28H5v9h7M52 28h7v9h-7" />
      <path class="paint" d="M10 24h44v22a8 8 0 0 1-8 8H18a8 8 0 0 1-8-8z" />
      <path class="iron" d="M7 20h50v5H7z" />
      <path class="wood-line" d="M40 20 47 4" />
    </>
  ),
  press: () => (
    <>
      <path class="wood-line" d="M10 61V10M54 61V10" />
      <path class="wood" d="M6 9h52v7H6z" />
      <path class="iron" d="M29.5 3h5v28h-5zM18 3h28v4H18z" />
      <path class="paint" d="M17 30h8v24h-8zM28 30h8v24h-8zM39 30h8v24h-8z" />
      <path class="iron" d="M15 35h34v3H15zM15 47h34v3H15zM6 54h52v5H6z" />
    </>
  ),
  sewing: () => (
    <>
      <path class="paint" d="M6 14a4 4 0 0 1 4-4h40a8 8 0 0 1 8 8v28H42V28H18v7h-8v-7H6z" />
      <path class="wood" d="M4 46h56v9H4z" />
      <path class="iron-line" d="M14 34v11" />
      <circle class="iron" cx="58" cy="20" r="5" />
      <path class="iron" d="M24 4h6v6h-6z" />
    </>
  ),
  tent: () => (
    <>
      <path class="iron-line" d="m32 12-4-7M32 12l4-7" />
      <path class="paint" d="M32 9 61 56H3z" />
      <path class="hole" d="m32 28 11 28H21z" />
      <path class="iron" d="m32 28 11 28H32z" />
    </>
  ),
  heatgun: () => (
    <>
      <path class="iron" d="M46 13h8l6 3v8l-6 3h-8z" />
      <path class="paint" d="M8 16a6 6 0 0 1 6-6h30a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3H28l-3 25a4 4 0 0 1-4 3h-5a4 4 0 0 1-4-4l3-24h-1a6 6 0 0 1-6-6z" />
      <path class="hole" d="M14 15h3v10h-3zM20 15h3v10h-3z" />
      <path class="iron" d="M29 30h5l-2 7h-4z" />
    </>
  ),
  router: () => (
    <>
      <path class="paint" d="M20 8a5 5 0 0 1 5-5h14a5 5 0 0 1 5 5v30H20z" />
      <path class="hole" d="M26 9h12v2.500H26zM26 15h12v2.500H26z" />
      <path class="wood" d="M5 24a5 5 0 0 1 10 0v8a5 5 0 0 1-10 0zM49 24a5 5 0 0 1 10 0v8a5 5 0 0 1-10 0z" />
      <path class="iron" d="M14 25h6v6h-6zM44 25h6v6h-6zM22 38h4v9h-4zM38 38h4v9h-4zM10 46h44v5H10zM29.5 38h5v18l-2.5 5-2.5-5z" />
    </>
  ),
  multitool: () => (
    <>
      <path class="paint" d="M24 5a8 8 0 0 1 16 0v8l3 8-3 24H24l-3-24 3-8z" />
      <path class="hole" d="M30 10h4v10h-4z" />
      <path class="iron" d="M26 45h12v6H26zM29 51h6v4l5 3v4H24v-4l5-3z" />
    </>
  ),
  strap: () => (
    <>
      <circle class="paint-line" cx="26" cy="26" r="19" />
      <circle class="paint-line" cx="26" cy="26" r="11" />
      <path class="paint-line" d="M45 26v14" />
      <path class="iron" d="M38 38h15v9H38z" />
      <path class="iron-line" d="M45.5 47v6a5 5 0 0 0 10 0v-2" />
      <circle class="iron" cx="26" cy="26" r="4" />
    </>
  ),
  rods: () => (
    <>
      <path class="wood" d="M15 8h5v38h-5zM29.5 8h5v38h-5zM44 8h5v38h-5z" />
      <path class="iron" d="M13.5 4h8v8h-8zM28 4h8v8h-8zM42.5 4h8v8h-8zM13.5 42h8v6h-8zM28 42h8v6h-8z" />
      <path class="iron-line" d="M46.5 46v4c4 0 4 4 0 4s-4 4 0 4h2" />
      <path class="paint" d="M9 58c0-6 4-10 8.5-10S26 52 26 58zM30 48h4v12h-4z" />
    </>
  ),
  pole: () => (
    <>
      <path class="wood-line" d="M32 18v42" />
      <path class="iron" d="M29 12h6v12h-6z" />
      <rect class="paint" x="8" y="4" width="48" height="9" rx="3" />
      <path class="iron-line" d="M38 30c10 4 12 16 8 28" />
    </>
  ),
  dolly: () => (
    <>
      <rect class="wood" x="3" y="30" width="58" height="9" rx="2" />
      <path class="paint" d="M3 26h58v5H3z" />
      <path class="iron" d="M10 39h10v5H10zM44 39h10v5H44z" />
      <circle class="iron" cx="15" cy="48" r="7" />
      <circle class="hole" cx="15" cy="48" r="2.5" />
      <circle class="iron" cx="49" cy="48" r="7" />
      <circle class="hole" cx="49" cy="48" r="2.5" />
    </>
  ),
  laser: () => (
    <>
      <path class="iron-line" d="M26 46 16 61M38 46l10 15M32 46v15" />
      <rect class="paint" x="15" y="16" width="34" height="30" rx="5" />
      <circle class="hole" cx="32" cy="31" r="9" />
      <path class="iron" d="M30.8 3h2.400v56h-2.400zM3 29.800h58v2.400H3z" />
    </>
  ),
  steamer: () => (
    <>
      <path class="iron-line" d="M18 22V10h18v12" />
      <path class="paint" d="M8 22h38v28a5 5 0 0 1-5 5H13a5 5 0 0 1-5-5z" />
      <circle class="hole" cx="27" cy="38" r="6" />
      <path class="iron" d="M52 28h10v28H52z" />
      <path class="iron-line" d="M57 28V18a7 7 0 0 0-7-7H36" />
    </>
  ),
  sweep: () => (
    <>
      <path class="wood" d="M29.8 26h4.400v35h-4.400z" />
      <path class="iron-line" d="M32 18 14 5M32 18H8M32 18 14 31M32 18l18-13M32 18h24M32 18l18 13M32 18V2M32 18 22 3M32 18l10-15M32 18 10 11M32 18l22-7M32 18 10 25M32 18l22 7M32 18 22 34M32 18l10 16" />
      <circle class="paint" cx="32" cy="18" r="6" />
    </>
  ),
  trestle: () => (
    <>
      <path class="wood-line" d="m14 30-7 27M18 30l7 27M46 30l-7 27M50 30l7 27" />
      <path class="iron-line" d="M11 46h10M43 46h10" />
      <rect class="paint" x="2" y="21" width="60" height="8" rx="2" />
    </>
  ),
  mixer: () => (
    <>
      <path class="paint" d="M22 12h20v18H22z" />
      <path class="wood" d="M4 14h14v6a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2zM46 14h14v6a2 2 0 0 1-2 2H48a2 2 0 0 1-2-2z" />
      <path class="iron" d="M18 15h4v5h-4zM42 15h4v5h-4zM27 5h10v7H27zM29 30h6v6h-6zM30.5 36h3v24h-3z" />
      <path class="iron-line" d="M32 46c-12 0-12 14 0 14s12-14 0-14" />
    </>
  ),
  bicycle: () => (
    <>
      <circle class="iron-line" cx="15" cy="44" r="12" />
      <circle class="iron-line" cx="49" cy="44" r="12" />
      <path class="paint-line" d="m15 44 10-20h18l6 20M25 24l7 20 11-20M15 44h17" />
      <path class="wood-line" d="M21 19h8M43 24l-2-8h7" />
    </>
  ),
}

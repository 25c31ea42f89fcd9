"""What hangs in the shed and who lives around it: the hand-written half of the seeds.

Apart from `make_seeds.py`, which decides who borrowed what and when. The people, streets and
makers are made up.
"""

from __future__ import annotations

from typing import NamedTuple


class ToolFact(NamedTuple):
    """One line of the wall; `acquired_on` is an ISO date, `given_by` may be empty."""

    shelf: str
    glyph: str
    name: str
    maker: str
    acquired_on: str
    given_by: str
    description: str


SHELVES = (
    ("garden", "Garden"),
    ("wood", "Woodwork"),
    ("power", "Power tools"),
    ("fixing", "Fixing & measuring"),
    ("paint", "Paint & plaster"),
    ("lift", "Ladders & lifting"),
    ("clean", "Cleaning"),
    ("table", "Kitchen & gathering"),
)

_OPENING = "2025-03-01"

TOOLS = tuple(
    ToolFact(*(part.strip() for part in line.split("|")))
    for line in f"""
garden|spade|Digging spade|Marlow & Sons|{_OPENING}|Odile Ferrand|Forged blade, ash shaft, long enough that tall people keep their backs.
garden|fork|Digging fork|Marlow & Sons|{_OPENING}|Odile Ferrand|Four square tines. Lifts potatoes and old lawns.
garden|rake|Spring-tine leaf rake|Fernhill|{_OPENING}||Light and wide; best pulled in short strokes.
garden|rake|Landscape rake|Fernhill|2025-09-13||A metre wide, for levelling soil and gravel before sowing.
garden|shears|Hedge shears|Halden|{_OPENING}|Tomasz Wolny|Wavy blades that grip the twig. Wipe the sap off before you bring them back.
garden|loppers|Bypass loppers|Halden|{_OPENING}||Cuts green wood up to 40 mm. For dead wood take the bow saw.
garden|bowsaw|Bow saw, 60 cm|Kestrel|{_OPENING}||Green-wood blade, guard included. Cuts on both strokes.
garden|barrow|Wheelbarrow|Ostler|{_OPENING}||90 litres, pneumatic tyre. Fits through a garden gate of 70 cm.
garden|mower|Push reel mower|Fernhill|2025-04-05|Priya Raman|No motor, no cable. Leaves a fine finish on a lawn that is cut weekly.
garden|mower|Scarifier|Brightwell|2026-03-14||Rakes the moss out of a tired lawn. Two passes, crosswise.
garden|hose|Hose reel, 40 m|Ostler|{_OPENING}||With a spray lance and three couplings in the bag.
garden|shears|Long-reach pruner|Halden|2026-06-06|Comfort Asante|Cuts at three metres and a half without a ladder.
wood|hammer|Claw hammer, 16 oz|Kestrel|{_OPENING}||Hickory handle. The one everybody asks for first.
wood|mallet|Beech mallet|Marlow & Sons|{_OPENING}||For chisels and for flat-pack that will not close.
wood|saw|Hand saw, 22 inch|Kestrel|{_OPENING}|Anselm Brück|Cross-cut, eight teeth to the inch, freshly set.
wood|saw|Tenon saw|Kestrel|{_OPENING}|Anselm Brück|Brass back, fine teeth, for joints and skirting.
wood|plane|Jack plane No. 5|Halden|{_OPENING}|Anselm Brück|Flattens a door that sticks. Lay it on its side, please.
wood|plane|Block plane|Halden|2025-10-11||Fits one hand. For end grain and sharp edges.
wood|chisel|Chisel set, six|Halden|{_OPENING}||6 to 32 mm in a canvas roll, sharp enough to shave with.
wood|clamp|F-clamps, pair|Fjord|{_OPENING}||300 mm opening, pads that leave no marks.
wood|clamp|Sash clamps, four|Fjord|2025-05-17|Ruth Abara|1.2 m bars, for table tops and doors.
wood|bench|Folding workbench|Brightwell|2025-03-29||Holds 150 kg and fits behind a sofa.
wood|chisel|Spokeshave|Halden|2026-07-11||For curves: handles, chair legs, a bow.
power|drill|Cordless drill 18 V|Volta|{_OPENING}||Two batteries, charger and a tin of bits. Charge both overnight.
power|drill|SDS hammer drill|Volta|{_OPENING}||For concrete and brick. Comes with four bits and ear defenders.
power|drill|Right-angle drill|Volta|2026-08-22|Hanne Lindqvist|Gets between two joists where nothing else will.
power|jigsaw|Jigsaw|Volta|{_OPENING}||Wood and metal blades in the lid. Clamp the work down.
power|circsaw|Circular saw, 165 mm|Brightwell|2025-04-26||With guide rail. Set the depth before you switch it on.
power|sander|Random orbital sander|Volta|{_OPENING}||Discs from 60 to 240 grit; take what you need, pay what you use.
power|sander|Belt sander|Brightwell|2025-06-14|Kofi Mensah|Takes off a lot, quickly. Keep it moving.
power|sander|Floor edging sander|Brightwell|2026-09-05||Reaches the last ten centimetres along the wall.
power|jigsaw|Router, 8 mm|Volta|2025-11-15||Round-over, straight and dovetail cutters in the case.
power|drill|Heat gun|Brightwell|{_OPENING}||Strips paint, shrinks tubing, thaws a pipe. Not a hair dryer.
power|jigsaw|Oscillating multi-tool|Volta|2025-08-09||Cuts flush, scrapes grout, sands corners.
fixing|spanner|Adjustable spanner, 10 inch|Kestrel|{_OPENING}||Opens to 30 mm. Pull it towards the moving jaw.
fixing|spanner|Combination spanners, twelve|Kestrel|{_OPENING}|Tomasz Wolny|6 to 22 mm, all twelve still in the roll.
fixing|spanner|Torque wrench|Fjord|2025-07-12||20 to 200 Nm. Wind it back to zero when you are done.
fixing|pliers|Water-pump pliers|Kestrel|{_OPENING}||Grips anything round up to 45 mm.
fixing|pliers|Crimping pliers|Fjord|2025-12-06|Mei-Lin Zhou|For cable lugs and network plugs; a bag of both inside.
fixing|loppers|Bolt cutters|Kestrel|{_OPENING}||60 cm arms. The desk asks whose lock it is.
fixing|screwdriver|Screwdriver set, eight|Kestrel|{_OPENING}||Slotted, cross and hex; the small one is good for glasses.
fixing|level|Spirit level, 120 cm|Fjord|{_OPENING}||Checked against itself every spring.
fixing|level|Cross-line laser|Volta|2025-09-27||Throws a level and a plumb line ten metres.
fixing|tape|Tape measure, 30 m|Fjord|{_OPENING}||Fibreglass, for gardens and arguments about fences.
fixing|screwdriver|Bicycle repair stand kit|Ostler|2026-06-20|Luca Moretti|Stand, chain tool, spoke key and tyre levers.
paint|roller|Roller and long pole|Brightwell|{_OPENING}||Ceilings without a ladder. Bring your own sleeve.
paint|brush|Brush set, five|Brightwell|2025-03-22||Wash them out until the water stays clear.
paint|trowel|Plasterer's trowel|Marlow & Sons|{_OPENING}|Ruth Abara|Worn in, which is how it should be.
paint|trowel|Notched trowel and float|Marlow & Sons|2025-10-25||For a bathroom's worth of tiles.
paint|roller|Wallpaper steamer|Brightwell|2025-11-01||Four litres, an hour of steam. Mind your wrists.
paint|drill|Paint and mortar mixer|Volta|2026-09-12||A paddle on a slow, strong drill.
lift|ladder|Step ladder, 5 treads|Fjord|{_OPENING}||Platform at 1.2 m, rail to hold on to.
lift|ladder|Extension ladder, 6 m|Fjord|{_OPENING}||Two people to carry it, one to stand at the foot.
lift|ladder|Loft ladder hook-on|Fjord|2026-07-25||Hooks over the hatch, folds to a metre.
lift|sacktruck|Sack truck|Ostler|{_OPENING}|Priya Raman|200 kg on solid tyres. Stairs are possible, with two.
lift|sacktruck|Piano dolly|Ostler|2025-08-30||Four castors, carpeted. Also good for wardrobes.
lift|clamp|Ratchet straps, four|Fjord|{_OPENING}||Five metres each, 500 kg. For roof racks and moving days.
clean|washer|Pressure washer|Brightwell|2025-03-15||130 bar, patio head. Hoses coiled, water run out, please.
clean|vacuum|Wet and dry vacuum|Brightwell|{_OPENING}||30 litres, floor and crevice heads, spare filter.
clean|vacuum|Carpet cleaner|Brightwell|2025-06-28||Warm water and patience. Rinse the tank twice.
clean|hose|Drain rods, ten|Ostler|{_OPENING}||Ten metres with plunger and worm. Turn clockwise only.
clean|brush|Chimney brush set|Ostler|2026-09-19|Anselm Brück|Rods and two heads, for a stove or an open fire.
clean|washer|Window-cleaning pole|Ostler|2025-05-03||Water-fed, reaches the second floor.
table|pan|Preserving pan, 12 l|Marlow & Sons|2025-05-31|Odile Ferrand|Copper-bottomed. Jam thermometer on a string.
table|press|Apple press, 18 l|Ostler|2025-08-16||Oak staves, cloth bags. Scald before use.
table|press|Fruit mill|Ostler|2026-08-29||Goes before the press; feeds a bucket in two minutes.
table|sewing|Sewing machine|Halden|{_OPENING}|Mei-Lin Zhou|Straight, zigzag, buttonhole. Goes through denim if you go slowly.
table|sewing|Overlocker|Halden|2026-04-11||Four threads, all threaded; tie the new ones to the old.
table|tent|Gazebo, 3 × 3 m|Fernhill|2025-04-19||Up in five minutes with four people. Weights included.
table|tent|Six-person tent|Fernhill|2025-06-07|Luca Moretti|Poles counted: nine. Dry it before it goes back in the bag.
table|bench|Trestle tables, two|Marlow & Sons|{_OPENING}||1.8 m each, for street parties and wallpaper.
table|pan|Paella pan, 70 cm|Marlow & Sons|2026-06-13|Comfort Asante|Feeds twenty-five. The gas ring is in the same box.
""".strip().splitlines()
)

STREETS = ("Larch Row", "Cooper's Yard", "Mill Lane", "Station Road", "Weir Street", "Tanner's Hill")

MEMBERS = (
    "Abiola Okafor", "Agnes Thorsen", "Alasdair Reid", "Amina Haddad", "Anselm Brück",
    "Bea Whitlock", "Bram de Vries", "Catarina Lopes", "Comfort Asante", "Dilys Morgan",
    "Eamon Gallagher", "Elif Yıldız", "Farid Rahimi", "Greta Novak", "Hanne Lindqvist",
    "Ibrahim Diallo", "Imogen Hart", "Jonas Weber", "Kofi Mensah", "Leila Mansour",
    "Luca Moretti", "Margit Szabó", "Mei-Lin Zhou", "Nadia Petrova", "Noor Siddiqui",
    "Odile Ferrand", "Oskar Lindholm", "Pilar Ortega", "Priya Raman", "Quentin Blythe",
    "Rosa Amaral", "Ruth Abara", "Sanjay Kulkarni", "Siobhán Kelly", "Tomasz Wolny",
    "Una Carrick", "Viktor Hansson", "Wilhelmina Post",
    # Joined after the spring:
    "Yusuf Demir", "Zofia Kamińska", "Arthur Penhale", "Birgit Olsen", "Chidi Eze",
    "Freya Sørensen",
)
SPRING_MEMBERS = 38

PURPOSES = {
    "spade": ("New bed by the gate", "Moving the rhubarb", "Planting a pear tree"),
    "fork": ("Lifting potatoes", "Allotment, plot 14", "Turning the compost"),
    "rake": ("Leaves off the lawn", "Levelling the path", "School garden day"),
    "shears": ("The front hedge", "Yew by the church", "Tidying the ivy"),
    "loppers": ("Old elder at the back", "A seized padlock on the bike shed", "Apple pruning"),
    "bowsaw": ("Fallen branch", "Logs for the stove", "Taking down a dead plum"),
    "barrow": ("Two tonnes of gravel", "Moving compost", "Bricks from the skip"),
    "mower": ("Front lawn", "The verge before the party", "Moss, a lot of it"),
    "hose": ("Raised beds in the dry spell", "Blocked gully", "Filling the pond"),
    "hammer": ("Fence palings", "Hanging pictures", "Shed roof felt"),
    "mallet": ("A bed that would not close", "Tent pegs", "Chair joints"),
    "saw": ("Skirting in the hall", "Shelves for the box room", "A bird box with the kids"),
    "plane": ("Door that sticks", "Bread board", "Table top"),
    "chisel": ("Letting in hinges", "Carving a spoon", "New latch"),
    "clamp": ("Gluing a chair", "Table top", "Moving day, roof rack"),
    "bench": ("Kitchen worktop", "Street party", "Papering the bedroom"),
    "drill": ("Curtain rails", "Shelf brackets", "Loft boards", "Stripping the front door"),
    "jigsaw": ("Cat flap", "Sink cut-out", "Laminate around the pipes"),
    "circsaw": ("Decking", "Floorboards", "Workshop shelves"),
    "sander": ("Floorboards, front room", "Garden table", "Window frames"),
    "spanner": ("Radiator valve", "Bicycle headset", "Trampoline"),
    "pliers": ("Kitchen tap", "New network cable", "Stuck cistern"),
    "screwdriver": ("Flat-pack wardrobe", "Bicycle service", "Old radio"),
    "level": ("Hanging kitchen cabinets", "Gallery wall", "Patio falls"),
    "tape": ("Fence line with next door", "Measuring for carpet", "Sports day"),
    "roller": ("Living-room ceiling", "The hall, twice", "Anaglypta, at last"),
    "brush": ("Window frames", "Garden bench", "Stove before winter"),
    "trowel": ("Patching the landing", "Bathroom tiles", "Chimney breast"),
    "ladder": ("Gutters", "Light on the landing", "Insulating the loft", "Apple picking"),
    "sacktruck": ("New washing machine", "Helping next door move", "Piano to the hall"),
    "washer": ("Patio after the winter", "Caravan", "Upstairs windows"),
    "vacuum": ("Plaster dust", "Flooded cellar", "Hall carpet"),
    "pan": ("Damson jam", "Marmalade", "Street party"),
    "press": ("Eighty kilos of Bramleys", "Perry, first try", "Apple day"),
    "sewing": ("Curtains", "School play costumes", "Taking in trousers"),
    "tent": ("A birthday", "Two weeks by the sea", "Plant sale"),
}

CONDITION_NOTES = {
    "sharp": ("Sharpened and oiled.", "Small nick, ground out.", "Blade turned round, like new."),
    "motor": ("Brushes checked, runs well.", "Cable inspected, tag renewed.", "New filter fitted."),
    "plain": (
        "Cleaned, nothing missing.",
        "Loose handle, wedged and glued.",
        "Came back cleaner than it left.",
    ),
}
SHARP = frozenset({"shears", "loppers", "bowsaw", "saw", "plane", "chisel", "spade", "mower"})
MOTOR = frozenset({"drill", "jigsaw", "circsaw", "sander", "washer", "vacuum", "sewing"})

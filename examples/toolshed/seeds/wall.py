"""What hangs in the shed and who lives around it: the hand-written half of the seeds.

Apart from `make_seeds.py`, which decides who borrowed what and when. The tools stand in
`tools.csv`. The people, streets and makers are made up.
"""

from __future__ import annotations

import csv
from pathlib import Path
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

with (Path(__file__).parent / "tools.csv").open(encoding="utf-8", newline="") as _table:
    TOOLS = tuple(ToolFact(**row) for row in csv.DictReader(_table, delimiter="|"))

STREETS = (
    "Larch Row",
    "Cooper's Yard",
    "Mill Lane",
    "Station Road",
    "Weir Street",
    "Tanner's Hill",
)

MEMBERS = (
    "Abiola Okafor",
    "Agnes Thorsen",
    "Alasdair Reid",
    "Amina Haddad",
    "Anselm Brück",
    "Bea Whitlock",
    "Bram de Vries",
    "Catarina Lopes",
    "Comfort Asante",
    "Dilys Morgan",
    "Eamon Gallagher",
    "Elif Yıldız",
    "Farid Rahimi",
    "Greta Novak",
    "Hanne Lindqvist",
    "Ibrahim Diallo",
    "Imogen Hart",
    "Jonas Weber",
    "Kofi Mensah",
    "Leila Mansour",
    "Luca Moretti",
    "Margit Szabó",
    "Mei-Lin Zhou",
    "Nadia Petrova",
    "Noor Siddiqui",
    "Odile Ferrand",
    "Oskar Lindholm",
    "Pilar Ortega",
    "Priya Raman",
    "Quentin Blythe",
    "Rosa Amaral",
    "Ruth Abara",
    "Sanjay Kulkarni",
    "Siobhán Kelly",
    "Tomasz Wolny",
    "Una Carrick",
    "Viktor Hansson",
    "Wilhelmina Post",
    # Joined after the spring:
    "Yusuf Demir",
    "Zofia Kamińska",
    "Arthur Penhale",
    "Birgit Olsen",
    "Chidi Eze",
    "Freya Sørensen",
)
SPRING_MEMBERS = 38

PURPOSES = {
    "spade": "New bed by the gate; Moving the rhubarb; Planting a pear tree; A hole for a post",
    "fork": "Lifting potatoes; Allotment, plot 14; Turning the compost; Couch grass, again",
    "rake": "Leaves off the lawn; Levelling the path; School garden day; Sowing a meadow strip",
    "shears": "The front hedge; Yew by the church; Tidying the ivy; Box balls, three",
    "loppers": "Old elder at the back; Apple pruning; Bramble along the fence; Fig over the wall",
    "bowsaw": "Fallen branch; Logs for the stove; A dead plum; Christmas tree, cut up",
    "barrow": "Two tonnes of gravel; Moving compost; Bricks from the skip; Turf for the slope",
    "mower": "Front lawn; The verge before the party; Moss, a lot of it; Back lawn, first cut",
    "hose": "Raised beds in the dry spell; Filling the pond; New hedge, first summer",
    "hammer": "Fence palings; Hanging pictures; Shed roof felt; Rabbit hutch; A loose stair",
    "mallet": "A bed that would not close; Tent pegs; Chair joints; Paving, tapped level",
    "saw": "Skirting in the hall; Box-room shelves; A bird box with the kids; Compost bin; Stakes",
    "plane": "Door that sticks; Bread board; Table top; Window sash; Chopping block",
    "chisel": "Letting in hinges; Carving a spoon; New latch; Dovetails, first try",
    "clamp": "Gluing a chair; Table top; Picture frame; A split guitar; Book press",
    "bench": "Kitchen worktop; Laminate floor; A rocking horse; Cutting tiles",
    "trestle": "Street party; Papering the bedroom; Plant sale; Wedding in the garden",
    "drill": "Curtain rails; Shelf brackets; Loft boards; Coat hooks; A swing; Trellis",
    "mixer": "Screed in the porch; Tile adhesive; Two tubs of limewash",
    "heatgun": "Stripping the front door; Frozen pipe; Old lino; Heat-shrink for the van",
    "jigsaw": "Cat flap; Sink cut-out; Laminate around the pipes; Stage set; A rocking moose",
    "router": "Round-over on shelves; Letter plate; Worktop joint; House sign",
    "multitool": "Grout in the shower; Undercutting door frames; Old window putty",
    "circsaw": "Decking; Floorboards; Workshop shelves; Chicken coop",
    "sander": "Floorboards, front room; Garden table; Window frames; Stairs; A boat, small",
    "spanner": "Radiator valve; Bicycle headset; Trampoline; Bunk bed; Gate hinges",
    "torque": "Winter tyres; Cylinder head; Bicycle crank; Trailer hitch",
    "pliers": "Kitchen tap; New network cable; Stuck cistern; Fence wire",
    "cutters": "A seized padlock on the bike shed; Fence mesh; Lost key, own chain",
    "screwdriver": "Flat-pack wardrobe; Old radio; Door handles; Piano lid; Toy box",
    "bicycle": "Bicycle service; School run tandem; Free repair evening",
    "level": "Kitchen cabinets; Gallery wall; Patio falls; Fence posts",
    "laser": "Tiling line in the bath; Dado rail; Suspended ceiling",
    "tape": "Fence line with next door; Measuring for carpet; Sports day; Garden plan",
    "roller": "Living-room ceiling; The hall, twice; Anaglypta, at last; Community hall",
    "steamer": "Seven layers in the back room; Woodchip; The stairwell",
    "brush": "Window frames; Garden bench; Stove pipe; Front door; Shed",
    "trowel": "Patching the landing; Bathroom tiles; Chimney breast; Garden wall",
    "ladder": "Gutters; Light on the landing; Insulating the loft; Apple picking; Swift box",
    "sacktruck": "New washing machine; Helping next door move; Piano to the hall; Water butts",
    "dolly": "Piano to the hall; Wardrobe, three metres; Stove delivery",
    "strap": "Moving day, roof rack; Sofa on a trailer; Kayak; Tree guard",
    "washer": "Patio after the winter; Caravan; Garden furniture; Mossy steps",
    "pole": "Upstairs windows; Conservatory roof; Solar panels; Shop front",
    "vacuum": "Plaster dust; Flooded cellar; Hall carpet; Car, after the dog; Sofa",
    "rods": "Blocked gully; Kitchen drain; Land drain at the allotment",
    "sweep": "Stove before winter; Open fire; Jackdaws, it seems",
    "pan": "Damson jam; Marmalade; Street party; Chutney; Soup for sixty",
    "press": "Eighty kilos of Bramleys; Perry, first try; Apple day; Windfalls",
    "sewing": "Curtains; School play costumes; Taking in trousers; Bunting; A tent repair",
    "tent": "A birthday; Two weeks by the sea; Plant sale; Rain on the wedding",
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
SHARP = frozenset(
    {"shears", "loppers", "bowsaw", "saw", "plane", "chisel", "spade", "mower", "cutters"}
)
MOTOR = frozenset(
    {"drill", "mixer", "heatgun", "jigsaw", "router", "multitool", "circsaw", "sander"}
    | {"washer", "vacuum", "sewing", "steamer"}
)

"""The verse that the reciting endpoint knows. All of it is in the public domain.

Each author, and the translator or first editor where there is one, died more than
95 years before this was written, and each text is given in a form that was
published before 1900.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["POEMS", "Poem"]


class Poem(NamedTuple):
    """title and author, as recited; source: where it was printed; about: words that call for it."""

    title: str
    author: str
    source: str
    about: tuple[str, ...]
    lines: str

    @property
    def text(self) -> str:
        """The whole, as it is recited."""
        return f"{self.title}\n{self.author}\n\n{self.lines}\n"


POEMS: Final = (
    Poem(
        "To the Moon",
        "Percy Bysshe Shelley",
        "Posthumous Poems, 1824",
        ("moon", "moonlight", "heaven", "weary"),
        """\
Art thou pale for weariness
Of climbing heaven and gazing on the earth,
Wandering companionless
Among the stars that have a different birth,
And ever changing, like a joyless eye
That finds no object worth its constancy?""",
    ),
    Poem(
        "The Moon",
        "Robert Louis Stevenson",
        "A Child's Garden of Verses, 1885",
        ("moon", "clock", "cat", "mouse", "dog", "bat"),
        """\
The moon has a face like the clock in the hall;
She shines on thieves on the garden wall,
On streets and fields and harbour quays,
And birdies asleep in the forks of the trees.

The squalling cat and the squeaking mouse,
The howling dog by the door of the house,
The bat that lies in bed at noon,
All love to be out by the light of the moon.

But all of the things that belong to the day
Cuddle to sleep to be out of her way;
And flowers and children close their eyes
Till up in the morning the sun shall arise.""",
    ),
    Poem(
        "The moon has set",
        "Sappho, translated by Henry Thornton Wharton",
        "Sappho: Memoir, Text, Selected Renderings, 1885",
        ("moon", "midnight", "night", "alone", "pleiades", "sappho", "greek"),
        """\
The moon has set, and the Pleiades;
it is midnight, the time is going by,
and I sleep alone.""",
    ),
    Poem(
        "Auguries of Innocence (its beginning)",
        "William Blake",
        "Life of William Blake, ed. Gilchrist, 1863",
        ("sand", "flower", "infinity", "eternity", "world", "hour"),
        """\
To see a World in a grain of sand,
And a Heaven in a wild flower,
Hold Infinity in the palm of your hand,
And Eternity in an hour.""",
    ),
    Poem(
        "The Tyger (its beginning)",
        "William Blake",
        "Songs of Experience, 1794",
        ("tiger", "tyger", "forest", "fire", "fear"),
        """\
Tyger Tyger, burning bright,
In the forests of the night;
What immortal hand or eye,
Could frame thy fearful symmetry?

In what distant deeps or skies
Burnt the fire of thine eyes?
On what wings dare he aspire?
What the hand, dare seize the fire?""",
    ),
    Poem(
        "Hope",
        "Emily Dickinson",
        "Poems, Second Series, 1891",
        ("hope", "bird", "feathers", "soul", "storm"),
        """\
Hope is the thing with feathers
That perches in the soul,
And sings the tune without the words,
And never stops at all,

And sweetest in the gale is heard;
And sore must be the storm
That could abash the little bird
That kept so many warm.

I've heard it in the chillest land,
And on the strangest sea;
Yet, never, in extremity,
It asked a crumb of me.""",
    ),
    Poem(
        "A Noiseless Patient Spider",
        "Walt Whitman",
        "Leaves of Grass, 1881",
        ("spider", "web", "patient", "ocean", "network"),
        """\
A noiseless patient spider,
I mark'd where on a little promontory it stood isolated,
Mark'd how to explore the vacant vast surrounding,
It launch'd forth filament, filament, filament, out of itself,
Ever unreeling them, ever tirelessly speeding them.

And you O my soul where you stand,
Surrounded, detached, in measureless oceans of space,
Ceaselessly musing, venturing, throwing, seeking the spheres to connect them,
Till the bridge you will need be form'd, till the ductile anchor hold,
Till the gossamer thread you fling catch somewhere, O my soul.""",
    ),
    Poem(
        "Who Has Seen the Wind?",
        "Christina Rossetti",
        "Sing-Song, 1872",
        ("wind", "leaves", "tree", "trees", "weather"),
        """\
Who has seen the wind?
Neither I nor you:
But when the leaves hang trembling
The wind is passing thro'.

Who has seen the wind?
Neither you nor I:
But when the trees bow down their heads
The wind is passing by.""",
    ),
    Poem(
        "Wandrers Nachtlied",
        "Johann Wolfgang von Goethe",
        "Werke, 1815",
        ("german", "deutsch", "gedicht", "peace", "quiet", "ruhe", "nacht"),
        """\
Über allen Gipfeln
Ist Ruh,
In allen Wipfeln
Spürest du
Kaum einen Hauch;
Die Vögelein schweigen im Walde.
Warte nur, balde
Ruhest du auch.""",
    ),
    Poem(
        "古池や",
        "松尾芭蕉",
        "蛙合, 1686",
        ("haiku", "frog", "pond", "japanese", "basho", "water"),
        """\
古池や
蛙飛びこむ
水の音""",
    ),
)

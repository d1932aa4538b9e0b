"""Vocabularies: diagnoses (code, name, benign or malignant, and every data set's names for them), body sites, sexes.

The diagnoses' sources: HAM10000 (Tschandl et al., Scientific Data 5, 180161, 2018) for the first seven codes, and for
what they hold: `akiec` carcinoma in situ, `bkl` solar lentigines and lichen-planus-like keratoses, `vasc` angiomas,
angiokeratomas and pyogenic granulomas; the ISIC archive, PAD-UFES-20, derm7pt and PH2 for further names; the ISIC 2019
challenge for AK and SCC, which HAM10000's `akiec` covers in part; the ISIC-9 collection for the two benign keratoses,
which HAM10000's `bkl` covers. `malignant` and `benign` are the whole diagnosis in data sets of two classes.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Malignancy = Literal["malignant", "benign", "unstated"]


@dataclass(frozen=True)
class Diagnosis:
    """One diagnosis.

    Attributes:
        code: as in our tables and metrics.
        name: as a person says it.
        malignancy: what it counts as; `unstated` where it is neither (a precursor) or unknown.
        aliases: what data sets call it besides, in lower case.
    """

    code: str
    name: str
    malignancy: Malignancy
    aliases: tuple[str, ...] = ()


NEVI = (
    *("atypical", "blue", "clark", "combined", "common", "congenital", "dermal", "dysplastic", "recurrent"),
    *("reed or spitz", "spitz"),
)
"""Kinds of nevi, as derm7pt and PH2 name them."""

DIAGNOSES = (
    Diagnosis(
        "mel",
        "melanoma",
        "malignant",
        (
            *("melanoma nos", "melanoma in situ", "melanoma invasive", "melanoma metastasis", "malignant melanoma"),
            "malignant melanocytic proliferations (melanoma)",
        ),
    ),
    Diagnosis(
        "bcc",
        "basal cell carcinoma",
        "malignant",
        tuple(f"basal cell carcinoma {kind}" for kind in ("nos", "nodular", "superficial", "infiltrating")),
    ),
    Diagnosis(
        "akiec",
        "actinic keratosis / intraepithelial carcinoma",
        "malignant",
        (
            *("actinic keratoses and intraepithelial carcinoma", "bowen's disease", "bowen disease"),
            "squamous cell carcinoma in situ",
        ),
    ),
    Diagnosis("ak", "actinic keratosis", "unstated", ("actinic keratoses", "solar or actinic keratosis", "ack")),
    Diagnosis(
        "scc",
        "squamous cell carcinoma",
        "malignant",
        ("squamous cell carcinoma nos", "squamous cell carcinoma invasive", "scc nos"),
    ),
    Diagnosis(
        "bkl",
        "benign keratosis-like lesion",
        "benign",
        (
            *("benign keratosis", "benign keratosis-like lesions", "solar lentigo"),
            *("lichen planus like keratosis", "lichenoid keratosis"),
        ),
    ),
    Diagnosis("sk", "seborrheic keratosis", "benign", ("seborrhoeic keratosis", "sek")),
    Diagnosis("pbk", "pigmented benign keratosis", "benign"),
    Diagnosis(
        "nv",
        "melanocytic nevus",
        "benign",
        (
            *("nevus", "nevi", "nev", "nevus nos", "melanocytic nevi", "naevus", "naevi", "melanocytic naevus"),
            *(f"{kind} nevus" for kind in NEVI),
        ),
    ),
    Diagnosis("df", "dermatofibroma", "benign"),
    Diagnosis(
        "vasc",
        "vascular lesion",
        "benign",
        (
            *("vascular lesions", "angioma", "hemangioma", "haemangioma", "angiokeratoma", "pyogenic granuloma"),
            "benign soft tissue proliferations - vascular",
        ),
    ),
    Diagnosis("malignant", "malignant", "malignant"),
    Diagnosis("benign", "benign", "benign"),
)
"""In the order of metrics and tables: malignant first, and those that are no diagnosis of their own last."""

_BY_NAME = {name: diagnosis for diagnosis in DIAGNOSES for name in (diagnosis.code, diagnosis.name, *diagnosis.aliases)}

_BY_CODE = {diagnosis.code: diagnosis for diagnosis in DIAGNOSES}


def code_of(name: str) -> str:
    """Return the code of a diagnosis as a data set writes it; a name not known stays, tidied.

    >>> [code_of(name) for name in ("Basal cell carcinoma", "Melanoma, NOS", "melanoma (in situ)", "  My own_class ")]
    ['bcc', 'mel', 'mel', 'my own class']
    """
    tidy = " ".join(unicodedata.normalize("NFC", name).replace("_", " ").lower().split())
    plain = tidy.replace(",", "")
    known = _BY_NAME.get(tidy) or _BY_NAME.get(plain) or _BY_NAME.get(re.sub(r" \(.*\)$", "", plain))
    return known.code if known else tidy


def is_unknown(value: str) -> bool:
    """Return whether a table's value says that nothing is known.

    >>> [is_unknown(value) for value in ("", " NA", "#N/A", "nevus")]
    [True, True, True, False]
    """
    return value.strip().lower() in UNKNOWN


def deepest_code(names: Sequence[str]) -> str:
    """Return the code of the first name that is known, else the first name; "" where there is none.

    Args:
        names: of one diagnosis, the most exact first, as the five levels of the ISIC archive's.
    """
    codes = [code_of(name) for name in names if not is_unknown(name)]
    exact = _BY_CODE.keys() - {"malignant", "benign"}
    return next((code for code in codes if code in exact), codes[0] if codes else "")


def about(code: str) -> Diagnosis:
    """Return the diagnosis of a code; one not in the taxonomy keeps its name, of unstated malignancy.

    >>> about("bcc").malignancy, about("my own class").name
    ('malignant', 'my own class')
    """
    return _BY_CODE.get(code, Diagnosis(code, code, "unstated"))


def ordered(codes: set[str]) -> list[str]:
    """Return codes in the taxonomy's order, those it does not know last, by name."""
    known = [diagnosis.code for diagnosis in DIAGNOSES if diagnosis.code in codes]
    return known + sorted(codes - set(known))


UNKNOWN = {"", "unknown", "not stated", "nan", "na", "n/a", "#n/a", "<na>", "nat", "none", "null", "-", "?"}
"""How tables write that a value is missing, R, pandas and spreadsheets among those who write them."""

MAX_AGE = 120
"""Years; a larger number is no age."""

SEXES = {**dict.fromkeys(("m", "male", "man"), "male"), **dict.fromkeys(("f", "female", "woman"), "female")}
"""The standard word of each way to write a sex, in lower case."""

SITES = {
    **dict.fromkeys(("scalp", "face", "ear", "neck"), ()),
    "head and neck": ("head/neck", "head & neck", "head"),
    "chest": ("anterior chest", "lateral chest"),
    "abdomen": ("anterior abdomen", "lateral abdomen"),
    "back": ("posterior torso", "posterior trunk", "upper back", "mid back", "lower back"),
    "anterior trunk": ("anterior torso",),
    "lateral trunk": ("lateral torso",),
    "trunk": ("torso",),
    "upper extremity": ("arm", "shoulder", "upper arm", "elbow", "forearm", "wrist"),
    "hand": (),
    "lower extremity": ("leg", "buttock", "thigh", "knee", "lower leg", "ankle"),
    "foot": (),
    "acral": ("palms/soles",),
    "genital": ("anogenital region", "genital region", "perianal region"),
    "oral or genital": ("oral/genital",),
}
"""Body sites: HAM10000's words and the few coarser ones that the ISIC challenges need, each with its other names. A
coarse word is never made finer."""

SITE_OF = {alias: site for site, aliases in SITES.items() for alias in (site, *aliases)}
"""The standard word of each way to write a site, in lower case."""

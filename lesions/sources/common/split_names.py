"""What people call the parts of a split, in the commonest languages, and what we call them."""

import re
import unicodedata

WORDS = {
    "train": (
        *("train", "training", "trn", "entrenamiento", "treino", "treinamento", "entrainement", "apprentissage"),
        *("addestramento", "trainingsdaten", "lernen", "uczenie", "egitim", "обучение", "训练", "訓練", "学習"),
    ),
    "val": (
        *("val", "valid", "validation", "dev", "validacion", "validacao", "validazione", "validierung"),
        *("validierungsdaten", "walidacja", "dogrulama", "валидация", "验证", "驗證", "検証"),
    ),
    "test": (
        *("test", "testing", "tst", "prueba", "pruebas", "teste", "testes", "testdaten", "тест", "测试", "測試"),
        "テスト",
    ),
}
SPLIT_OF = {word: split for split, words in WORDS.items() for word in words}
SUFFIX = re.compile(r"[\s_.-]*(set|data|dataset|images|imgs|dir|folder|split|集)$")
"""What may follow a word, as in `train_set` and `Test-Images`."""


def split_of(name: str) -> str:
    """Return which part of a split a folder, or a value of the column `split`, names; "" where it names none.

    >>> [split_of(name) for name in ("Train", "test_set", "Validación", "Prueba", "training images", "back")]
    ['train', 'test', 'val', 'test', 'train', '']
    """
    plain = _without_accents(name)
    return SPLIT_OF.get(plain) or SPLIT_OF.get(SUFFIX.sub("", plain), "")


def split_in(name: str) -> str:
    """Return which part of a split one word of a file's name names; "" where none does, or several do.

    >>> [split_in(name) for name in ("ISIC2018_Task3_Training_GroundTruth", "train-metadata", "HAM10000_metadata")]
    ['train', 'train', '']
    """
    found = {SPLIT_OF[word] for word in re.split(r"[\W_]+", _without_accents(name)) if word in SPLIT_OF}
    return found.pop() if len(found) == 1 else ""


def _without_accents(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name.strip()).casefold()
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return unicodedata.normalize("NFC", plain)

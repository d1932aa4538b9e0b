"""`predict`: how the model is asked."""

from lesions.params.section import Section


class Predict(Section):
    """See params.yaml for what each key means."""

    dihedral: bool

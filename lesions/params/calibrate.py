"""`calibrate`: what turns the network's outputs into answers."""

from lesions.core.params import Section


class Calibrate(Section):
    """See params.yaml for what each key means."""

    use_metadata: bool = False

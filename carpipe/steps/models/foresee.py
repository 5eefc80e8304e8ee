"""What the classifier's next training would be, in sentences for who plans a run.

Nothing is changed, and no plan is lost by it. Workers may have what this machine has not, such as the backbone's
weights, so whatever cannot be found out is said.
"""

from carpipe.config import ClassifierConfig
from carpipe.errors import CarpipeError
from carpipe.steps.data.datasets import find_dataset, has_dataset
from carpipe.steps.models.backbone import backbone_weights, identified
from carpipe.steps.models.gate import decided_before
from carpipe.steps.models.start import choose_start
from carpipe.steps.models.train import VERSION, content_of
from carpipe.steps.session import Session


def foresee_start(session: Session, *, new_dataset: bool) -> str:
    """How the classifier's next training starts, if its dataset has the classes of the newest one; a sentence.

    Args:
        new_dataset: another dataset than the newest is to be made first.
    """
    config = session.config.classifier
    try:
        if not has_dataset(session):
            return "The first training of the classifier starts cold: there is no dataset yet."
        data = find_dataset(session, None)
        with backbone_weights(session, config) as (_, sha256):
            content = () if new_dataset else content_of(data)
            known = content and decided_before(session, data.key, model="classifier", backbone=sha256, run="")
            if known:
                return f"Without a new dataset the classifier is not trained: {known.reason}"
            settings = identified(config, sha256)
            start = choose_start(session, settings, data, version=VERSION, backbone=sha256, content=content)
    except CarpipeError as error:
        return f"How the next training of the classifier starts cannot be told from here: {error}"
    if start.done:
        return f"Without a new dataset the classifier is not trained: {start.why}"
    return f"The next training of the classifier starts {start}"


def describe_backbone(session: Session, config: ClassifierConfig) -> str:
    """What a training starts from; why it could not, where that shows without loading anything."""
    named = "" if config.own_backbone else f"{config.backbone}, weights {config.weights}"
    try:
        with backbone_weights(session, config) as (path, sha256):
            if not config.own_backbone:
                return named
            from carpipe.training import keras_file

            keras_file.check(path)
            return f"{path.name}, sha256 {sha256}"
    except CarpipeError as error:
        return f"{named}{': ' if named else ''}cannot be used from here. {error}"

"""Every setting of carpipe: its default, unit and meaning, in one place.

A TOML file overrides what it names; an unknown key or a wrong type is an error that names the known
ones. The resolved configuration of a step is stored in the manifest of whatever the step produced.
This is the only module that reads the environment:

- `CARPIPE_CONFIG`: path of the TOML file used where no other is given;
- `CARPIPE_STORE`: overrides `store.url`;
- `AWS_CA_BUNDLE`: overrides `store.ca_bundle`;
- `CARPIPE_STATSD`: overrides `metrics.statsd`.

Credentials, region and endpoint of S3 are those of an Airflow connection in tasks that have one, else those
of the AWS chain (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, ...), which obstore reads itself.
"""

import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from carpipe.addresses import network_of
from carpipe.backports import Self
from carpipe.config_file import explain, read_values, set_value
from carpipe.errors import ConfigError

# Pixels of a network's input side: memory grows with its square, and golden pictures must fit into
# `golden.MAX_GOLDEN_BYTES`.
MAX_SIDE = 2048


class Section(BaseModel):
    """A frozen group of settings that refuses unknown keys and silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)
    # Settings that came after carpipe 0.1.0, each with the value that means what was before it came.
    ADDED: ClassVar[Mapping[str, Any]] = {}

    def decisive(self, *without: str) -> dict[str, Any]:
        """The settings that decide a result, for its fingerprint and its manifest.

        One of `ADDED` is left out where it has the value given there: results from before it came stay what they are.

        Args:
            without: settings that decide nothing, such as those about speed.
        """
        silent = {name for name, before in self.ADDED.items() if getattr(self, name) == before}
        return self.model_dump(exclude={*without, *silent})


class StoreConfig(Section):
    url: str = Field(
        "s3://carpipe", pattern=r"^s3://[A-Za-z0-9._-]{3,63}(/.*)?$", description="bucket, and a prefix if you like"
    )
    endpoint: str = Field("", description="URL of the S3 server; empty: AWS, or AWS_ENDPOINT_URL")
    ca_bundle: str = Field("", description="PEM file of authorities to trust beside the system's; empty: none")
    max_retries: int = Field(8, ge=0, description="retries of one request after network trouble or a 5xx answer")
    timeout_s: int = Field(120, ge=1, description="seconds until one request is given up")
    threads: int = Field(16, ge=1, description="photos fetched at a time by one task")
    prefetch_mb: int = Field(
        64, ge=1, description="MB of photos fetched ahead by one task; one photo is, however large"
    )


class InventoryConfig(Section):
    partition_photos: int = Field(8192, ge=1, le=100_000, description="photos in a partition at most")


class CleanConfig(Section):
    min_side: int = Field(64, ge=1, description="pixels; a photo with a shorter side is dropped as `too_small`")
    max_unreadable: float = Field(
        0.1,
        ge=0,
        le=1,
        description="share of a partition's photos, and of its listings; clearly more, and more than elsewhere, is an "
        "outage",
    )
    accept_unreadable: bool = Field(
        False, description="take photos that the storage may have spoilt for broken ones; off: an outage, tried again"
    )
    max_pixels: int = Field(
        110_000_000,
        ge=1,
        description="pixels; a larger picture is a `bomb`, refused undecoded; some formats have a lower limit",
    )
    thumbnail_side: int = Field(256, ge=32, description="pixels of a thumbnail's long side, at most")
    thumbnail_quality: int = Field(88, ge=1, le=100, description="JPEG quality of thumbnails")
    max_bytes: int = Field(40_000_000, ge=1, description="bytes; a larger file is a `bomb`, refused unread")
    max_damage: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the picture; more of it not known to be whole is `damaged` or `truncated`",
    )
    timeout_s: float = Field(
        20.0,
        gt=0,
        description="seconds of a processor that decoding one photo may take, in `crop` too; more is `poison`",
    )
    memory_mb: int = Field(
        1024, ge=256, description="MiB that decoding may allocate; a photo that needs more is `poison`"
    )

    @model_validator(mode="after")
    def _memory_holds_a_picture(self) -> Self:
        # As in `carpipe.pictures.decode`: 8 bytes a pixel, or 20 of the formats that take most, up to 880 MB a picture.
        needed = 128 + max(8 * self.max_pixels, min(20 * self.max_pixels, 880_000_000)) // 2**20
        if self.memory_mb < needed:
            raise ValueError(f"memory_mb must be at least {needed} for max_pixels = {self.max_pixels}")
        return self


class FilterConfig(Section):
    channel: str = Field("car-filter", description="channel whose production weights judge car / not a car")
    threshold: float = Field(0.7, ge=0, le=1, description="a photo is kept when p(car) is at least this")
    batch: int = Field(64, ge=1, description="photos per prediction")
    runtime: Literal["openvino", "int8"] = Field(
        "openvino", description="what runs the weights: OpenVINO as they are, or in `int8`: 8-bit numbers, made of them"
    )


class CropConfig(Section):
    weights: str = Field(
        "yolov5mu.pt",
        description="detector: a path, or a key in the bucket (`s3:...`); .pt, .tflite, .onnx or an OpenVINO folder",
    )
    runtime: Literal["auto", "openvino", "torch", "int8"] = Field(
        "auto",
        description="what runs a .pt: `torch`, `openvino`, or by itself torch on a GPU and else OpenVINO; `int8`: a "
        "detector in 8-bit numbers, made of it",
    )
    layout: Literal["auto", "yolo", "yolov5", "boxes", "detr"] = Field(
        "auto", description="of an exported detector's outputs; `auto`: by their shapes"
    )
    names: tuple[str, ...] = Field(
        (), strict=False, description="of an exported detector's classes; `coco`, `coco91`; none: the file says them"
    )
    pixels: Literal["0-1", "imagenet", "0-255-bgr"] = Field(
        "0-1", description="how an exported detector wants pixels: shares, ImageNet's normal ones, or BGR as they are"
    )
    vehicles: tuple[str, ...] = Field(
        ("car", "truck"), strict=False, description="names of the detector's classes that count"
    )
    confidence: float = Field(0.25, ge=0, le=1, description="boxes below this are ignored")
    image_size: int = Field(640, ge=32, le=MAX_SIDE, multiple_of=32, description="pixels of the detector's input side")
    batch: int = Field(8, ge=1, description="photos per detection")
    decoders: int = Field(
        0, ge=0, le=64, description="processes that decode photos for a detector; 0: one, and on a GPU up to 8"
    )
    min_box_share: float = Field(0.04, ge=0, le=1, description="share of the frame; a smaller box is `box_too_small`")
    margin: float = Field(0.02, ge=0, le=1, description="of the box's sides, added around it before cropping")
    crop_side: int = Field(320, ge=32, description="pixels of a crop's long side, at most")
    crop_quality: int = Field(90, ge=1, le=100, description="JPEG quality of crops")

    ADDED = {"layout": "auto", "names": (), "pixels": "0-1"}


class IdentifyConfig(Section):
    banner_listings: int = Field(3, ge=2, description="a picture in this many listings is a `banner`, not their car")
    hash_distance: int = Field(
        3, ge=0, le=5, description="bits of the 64 in which hashes of near-duplicates may differ"
    )
    max_difference: float = Field(8.0, ge=0, description="grey levels, mean over the pixels, between near-duplicates")


class ClassesConfig(Section):
    taxonomy: str = Field(
        "published", description="`published` (763 models to 512 classes), `identity`, or a YAML file"
    )
    min_photos: int = Field(150, ge=1, description="kept photos a model needs, else it is dropped as `too_few_photos`")
    max_photos: int = Field(1500, ge=0, description="photos of a model at most, by whole vehicles; 0: no cap")


class SplitConfig(Section):
    train: float = Field(0.70, gt=0, lt=1, description="share of photos")
    val: float = Field(0.15, gt=0, lt=1, description="share of photos")
    test: float = Field(0.15, gt=0, lt=1, description="share of photos")

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        if abs(self.train + self.val + self.test - 1) > 1e-9:
            raise ValueError(f"train + val + test must be 1, got {self.train + self.val + self.test:g}")
        return self


class ValidateConfig(Section):
    split_tolerance: float = Field(0.02, ge=0, le=1, description="of all photos: how far a split may be from its share")
    class_tolerance: float = Field(
        0.1, ge=0, le=1, description="of a class's photos: how far a split may be from its share"
    )
    funnel_tolerance: float = Field(
        0.1, ge=0, le=1, description="how far the share that a stage keeps may be from the previous dataset's"
    )


# What keras.applications has; named here so that a wrong one is found before anything is trained.
Backbone = Literal[
    "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtTiny", "ConvNeXtXLarge", "DenseNet121", "DenseNet169",
    "DenseNet201", "EfficientNetB0", "EfficientNetB1", "EfficientNetB2", "EfficientNetB3", "EfficientNetB4",
    "EfficientNetB5", "EfficientNetB6", "EfficientNetB7", "EfficientNetV2B0", "EfficientNetV2B1", "EfficientNetV2B2",
    "EfficientNetV2B3", "EfficientNetV2L", "EfficientNetV2M", "EfficientNetV2S", "InceptionResNetV2", "InceptionV3",
    "MobileNet", "MobileNetV2", "MobileNetV3Large", "MobileNetV3Small", "NASNetLarge", "NASNetMobile", "ResNet101",
    "ResNet101V2", "ResNet152", "ResNet152V2", "ResNet50", "ResNet50V2", "VGG16", "VGG19", "Xception",
]  # fmt: skip
OWN_BACKBONE = ".keras"


def _name_or_file(backbone: str) -> str:
    if not backbone.endswith(OWN_BACKBONE) and backbone not in (known := get_args(Backbone)):
        raise ValueError(f"it should be a file `<name>{OWN_BACKBONE}`, or one of {', '.join(map(repr, known))}")
    return backbone


BackboneOrFile = Annotated[str, AfterValidator(_name_or_file)]


# Of settings that the car filter and the classifier have other defaults for.
SCHEDULE = (
    "of fine-tuning's learning rate: `cosine` falls to 0 over `finetune_epochs`, all of which are run; `plateau` falls "
    "when the validation loss does not, and ends early"
)
BATCH_NORM = "of the backbone in fine-tuning; with `weights` `none` it is always trained"


class TrainingConfig(Section):
    """One block for both models; the sections `car_filter` and `classifier` differ in defaults only."""

    channel: str = Field(description="channel that the weights are published to")
    backbone: BackboneOrFile = Field(
        description="name in `keras.applications`, or a `.keras` file: a path, or a key (`s3:...`)"
    )
    alpha: float = Field(1.0, gt=0, description="width of MobileNet backbones; ignored by others")
    weights: str = Field("imagenet", description="backbone weights: `imagenet`, `none`, a path, or a key (`s3:...`)")
    image_size: int = Field(ge=32, le=MAX_SIDE, description="pixels of the square input's side")
    head_epochs: int = Field(ge=0, description="epochs with the backbone frozen")
    finetune_epochs: int = Field(ge=0, description="epochs, at most, with the backbone trained")
    batch: int = Field(32, ge=1, description="photos per step")
    head_learning_rate: float = Field(1e-3, gt=0, description="Adam, head phase")
    finetune_learning_rate: float = Field(1e-4, gt=0, description="Adam, fine-tuning phase; at its highest")
    schedule: Literal["cosine", "plateau"] = Field("plateau", description=SCHEDULE)
    warmup: float = Field(
        0.05, ge=0, lt=1, description="share of fine-tuning in which a `cosine` learning rate first rises from 0"
    )
    batch_norm: Literal["frozen", "trained"] = Field("frozen", description=BATCH_NORM)
    dropout: float = Field(0.2, ge=0, lt=1, description="before the last layer")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="of the cross entropy's targets")
    max_class_weight: float = Field(
        1.0, ge=1, description="a class with few photos counts up to this many times more in the loss; 1: all alike"
    )
    plateau_factor: float = Field(0.75, gt=0, lt=1, description="learning rate is multiplied by it on a plateau")
    plateau_patience: int = Field(2, ge=1, description="epochs without a better validation loss until then")
    stop_patience: int = Field(8, ge=1, description="epochs without a better validation loss until training ends")
    flip: bool = Field(True, description="half of the training photos are mirrored left to right")
    rotation: float = Field(7.0, ge=0, le=180, description="degrees by which a training photo is turned, at most")
    zoom: float = Field(0.1, ge=0, lt=1, description="share by which a training photo is enlarged or shrunk, at most")
    brightness: float = Field(0.1, ge=0, lt=1, description="share of white added or taken away, at most")
    shuffle_photos: int = Field(
        8192,
        ge=1,
        description="photos (about 20 kB each) that the next of a batch is drawn from, beside shuffled shards",
    )
    mixed_precision: Literal["auto", "off"] = Field("auto", description="float16 compute where a GPU is")
    xla: Literal["auto", "off"] = Field("auto", description="compile the network with XLA where a GPU is")
    h5: bool = Field(False, description="publish the model as `.h5` too, for apps that still want that")
    deterministic: bool = Field(False, description="the same weights on every run of one machine; slower on a GPU")
    seed: int = Field(20, ge=0, description="of initial weights, shuffling and augmentation")
    time_limit_h: float = Field(
        20.0,
        gt=0,
        description="hours; a training that takes longer is stopped, a later run goes on from its last epoch",
    )

    ADDED = {"schedule": "plateau", "warmup": 0.05, "batch_norm": "frozen"}

    @model_validator(mode="after")
    def _trains_at_all(self) -> Self:
        if self.head_epochs + self.finetune_epochs == 0:
            raise ValueError("head_epochs + finetune_epochs must be at least 1")
        return self

    @model_validator(mode="after")
    def _own_backbone_has_its_weights(self) -> Self:
        if self.own_backbone and (self.weights, self.alpha) != ("imagenet", 1.0):
            raise ValueError(
                f"backbone is the file {self.backbone}, which brings its weights and its width; leave out weights and "
                "alpha, or set them to imagenet and 1.0"
            )
        return self

    @property
    def own_backbone(self) -> bool:
        """Whether the backbone is a file of one's own: it brings its weights and its preprocessing."""
        return self.backbone.endswith(OWN_BACKBONE)


class CarFilterConfig(TrainingConfig):
    channel: str = Field("car-filter", description="channel that the weights are published to")
    backbone: BackboneOrFile = Field(
        "MobileNetV2", description="name in `keras.applications`, or a `.keras` file: a path, or a key (`s3:...`)"
    )
    image_size: int = Field(224, ge=32, le=MAX_SIDE, description="pixels of the square input's side")
    head_epochs: int = Field(8, ge=0, description="epochs with the backbone frozen")
    finetune_epochs: int = Field(0, ge=0, description="epochs, at most, with the backbone trained")
    labels: str = Field("car-filter", description="name of the label set under `labels/`")


class ClassifierConfig(TrainingConfig):
    channel: str = Field("classifier", description="channel that the weights are published to")
    backbone: BackboneOrFile = Field(
        "EfficientNetB1", description="name in `keras.applications`, or a `.keras` file: a path, or a key (`s3:...`)"
    )
    image_size: int = Field(240, ge=32, le=MAX_SIDE, description="pixels of the square input's side")
    head_epochs: int = Field(2, ge=0, description="epochs with the backbone frozen")
    finetune_epochs: int = Field(28, ge=0, description="epochs, at most, with the backbone trained")
    finetune_learning_rate: float = Field(2e-3, gt=0, description="Adam, fine-tuning phase; at its highest")
    schedule: Literal["cosine", "plateau"] = Field("cosine", description=SCHEDULE)
    batch_norm: Literal["frozen", "trained"] = Field("trained", description=BATCH_NORM)
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="of the cross entropy's targets")
    max_class_weight: float = Field(
        3.0, ge=1, description="a class with few photos counts up to this many times more in the loss; 1: all alike"
    )
    start: Literal["auto", "warm", "cold"] = Field(
        "auto",
        description="of a training: `cold` from the backbone's weights; `warm` from the live model; `auto` warm, but "
        "cold where backbone or recipe changed, or one of the limits of `cold_...` is passed",
    )
    warm_epochs: int = Field(6, ge=1, description="epochs of a warm training, all layers")
    warm_learning_rate: float = Field(2e-3, gt=0, description="Adam, warm training; at its highest")
    warm_shrink: float = Field(1.0, gt=0, le=1, description="a warm training first multiplies all weights by it")
    warm_noise: float = Field(
        0.0, ge=0, lt=1, description="and then adds so many times the weights of a network that was never trained"
    )
    cold_every: int = Field(28, ge=1, description="`auto`: warm trainings in a row, each from the one before, at most")
    cold_changed: float = Field(
        0.1, ge=0, le=1, description="`auto`: share of the classes that are new, merged or gone, at most"
    )
    cold_refusals: int = Field(3, ge=1, description="`auto`: warm models refused in a row, after which one is cold")
    year_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of cars whose year is to lie in the interval of years that a model answers beside the "
        "class, such as 0.8; 0: it answers none",
    )

    ADDED = {**TrainingConfig.ADDED, "year_share": 0.0}

    # What decides how a training starts, and what a warm one is like: no part of a cold training.
    STARTS: ClassVar[tuple[str, ...]] = ("start", "cold_every", "cold_changed", "cold_refusals")
    WARM: ClassVar[tuple[str, ...]] = ("warm_epochs", "warm_learning_rate", "warm_shrink", "warm_noise")
    # What a warm training does not use: it has one phase, with a rate and a length of its own.
    COLD: ClassVar[tuple[str, ...]] = (
        "head_epochs", "head_learning_rate", "finetune_epochs", "finetune_learning_rate", "schedule", "plateau_factor",
        "plateau_patience", "stop_patience",
    )  # fmt: skip


class ServingConfig(Section):
    channel: str = Field("classifier", description="channel whose live weights answer")
    views_channel: str = Field(
        "", description="channel of the car filter that tells the views of a listing's photos; empty: none are told"
    )
    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0: all, behind a proxy of your own")
    port: int = Field(5000, ge=0, le=65535, description="0: any free one")
    workers: int = Field(
        2, ge=1, description="photos looked at at a time, each by a detector of its own; best one per core"
    )
    queue: int = Field(16, ge=1, description="requests in work or waiting; more are answered 503 at once")
    poll_s: float = Field(30.0, gt=0, description="seconds between looks at the channel")
    cache: str = Field("", description="folder that models are downloaded to; empty: ~/.cache/carpipe")
    offline_ok: bool = Field(True, description="start with the model that was verified last where no other can be had")
    max_photo_mb: int = Field(15, ge=1, description="MB of a photo, at most")
    max_request_mb: int = Field(60, ge=1, description="MB of a listing's photos together, at most")
    # Phones send 12 to 50 megapixels: 8192 x 6144 at most, unless somebody turns on more.
    max_pixels: int = Field(
        51_000_000, ge=1, description="pixels of a photo, at most; `clean.max_pixels` of its dataset is a limit too"
    )
    photo_timeout_s: float = Field(
        2.0, gt=0, description="seconds of a processor that decoding one photo may take; more is `too_expensive`"
    )
    max_listing_photos: int = Field(20, ge=1, description="photos of a listing in one request, at most")
    feedback: bool = Field(True, description="write feedback and unsure photos to `labels/<channel>/candidates/`")
    candidates_per_hour: int = Field(200, ge=0, description="unsure photos written, at most; as many with feedback")
    client_share: float = Field(
        0.25, gt=0, le=1, description="of `candidates_per_hour`, that one client may spend; 1 where all are one app's"
    )
    candidates_days: int = Field(90, ge=1, description="days until a candidate is deleted")
    candidates_mb: int = Field(
        5000, ge=1, description="MB of all candidates, at most; the oldest go, those without feedback first"
    )
    request_s: float = Field(60.0, gt=0, description="seconds that a request may take to arrive")
    connections: int = Field(500, ge=1, le=10_000, description="open connections, at most; the slowest sender goes")
    connections_per_client: int = Field(
        64, ge=1, description="open connections of one address, at most; the slowest of its own goes"
    )
    trusted_proxy: str = Field(
        "", description="address or network of the proxy whose X-Forwarded-For says who a client is; empty: none"
    )
    path: str = Field(
        "",
        pattern=r"^(/[A-Za-z0-9._-]+)*$",
        description="path of the API behind a proxy, such as `/cars`; empty: the top",
    )
    health_port: int = Field(0, ge=0, le=65535, description="port that answers `/healthz` and nothing else; 0: none")
    request_log: bool = Field(True, description="write a line for each request to standard error")

    @model_validator(mode="after")
    def _proxy_is_an_address(self) -> Self:
        try:
            if self.trusted_proxy:
                network_of(self.trusted_proxy)
        except ValueError:
            raise ValueError(
                f"trusted_proxy must be an address or a network, as 10.0.0.5 or 10.0.0.0/8, not {self.trusted_proxy}"
            ) from None
        return self


class GateConfig(Section):
    # Evaluations of before it came say nothing of unknown cars. They are reused all the same.
    ADDED = {"known_refused": 0.02}

    confidence: float = Field(
        0.99, gt=0.5, lt=1, description="to be sure of, before a better model is published; 1 - it: share of equal ones"
    )
    class_margin: float = Field(
        0.05, ge=0, lt=1, description="of recall; a class that falls by more, and provably, is ruined: a person decides"
    )
    class_alpha: float = Field(
        0.05, gt=0, lt=1, description="false discovery rate of ruined classes; more finds more, and asks more often"
    )
    class_collapse: float = Field(
        0.3, ge=0, le=1, description="of recall; a class that falls by more is ruined without a correction for many"
    )
    min_class_vehicles: int = Field(
        7, ge=1, description="test vehicles of a class, else it is judged only together with others as small"
    )
    min_vehicles: int = Field(100, ge=1, description="test vehicles in all, else nothing is published unasked")
    min_accuracy: float = Field(
        0.0, ge=0, le=1, description="share of test photos; below it a model is refused; 0: off"
    )
    sure_precision: float = Field(
        0.95,
        gt=0,
        le=1,
        description="share of an app's sure answers that shall be right; sets the threshold of a model",
    )
    known_refused: float = Field(
        0.02,
        ge=0,
        lt=0.5,
        description="share of photos of known cars that a model may take for no car of its classes; 0: it says nothing",
    )
    resamples: int = Field(4000, ge=200, description="bootstrap resamples of the interval around the difference")
    seed: int = Field(20, ge=0, description="of the resamples: equal answers give an equal decision")


class SigningConfig(Section):
    key: str = Field(
        "",
        description="what models are signed with: a PEM file of a private key (and its certificates), or "
        "`connection:<id>` in Airflow; empty: nothing",
    )
    trusted: tuple[str, ...] = Field(
        (), strict=False, description="PEM files of public keys and authorities whose signatures count"
    )
    require: bool = Field(False, description="refuse models that none of `signing.trusted` has signed")
    accept_unsigned: tuple[str, ...] = Field(
        (),
        strict=False,
        description="models that need no signature: `<id>=<sha256 of the manifest>`, or `<id>` alone",
    )

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if self.require and not self.trusted and not self.accept_unsigned:
            raise ValueError("require = true needs signing.trusted: the PEM files of those who may sign")
        return self


class MetricsConfig(Section):
    statsd: str = Field(
        "",
        pattern=r"^$|^[^\s:/]+:[0-9]{1,5}$",
        description="`host:port` of a StatsD server (UDP) that figures are sent to; empty: none",
    )
    prefix: str = Field("carpipe", pattern=r"^[\w.-]+$", description="of the metrics' names")


class CostConfig(Section):
    cpu_hour: float = Field(0.0, ge=0, description="price of a worker without a GPU for an hour; 0: not known")
    gpu_hour: float = Field(0.0, ge=0, description="price of a worker on the queue `gpu` for an hour; 0: as `cpu_hour`")
    request: float = Field(0.0, ge=0, description="price of a request to the store; 0: not known")
    currency: str = Field("", max_length=10, description="of the prices, such as `EUR`")


class Config(Section):
    """All settings. Immutable: `load_config` makes one, with overrides already applied."""

    store: StoreConfig = StoreConfig()
    inventory: InventoryConfig = InventoryConfig()
    clean: CleanConfig = CleanConfig()
    filter: FilterConfig = FilterConfig()
    crop: CropConfig = CropConfig()
    identify: IdentifyConfig = IdentifyConfig()
    classes: ClassesConfig = ClassesConfig()
    split: SplitConfig = SplitConfig()
    validation: ValidateConfig = ValidateConfig()
    car_filter: CarFilterConfig = CarFilterConfig()
    classifier: ClassifierConfig = ClassifierConfig()
    gate: GateConfig = GateConfig()
    serving: ServingConfig = ServingConfig()
    signing: SigningConfig = SigningConfig()
    metrics: MetricsConfig = MetricsConfig()
    cost: CostConfig = CostConfig()


# What obstore puts into the headers of its requests, and takes from the environment.
_SIGNED_WITH = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION",
)  # fmt: skip


def load_config(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read the configuration: defaults, then the file, then the environment, then the overrides.

    Args:
        path: a TOML file; None means the one that `CARPIPE_CONFIG` names, if any.
        overrides: values by dotted key, such as `{"classes.min_photos": 20}`. None values are skipped.

    Raises:
        ConfigError: the file is missing or not TOML, or a key is unknown, mistyped or out of range.
    """
    if path is None and os.environ.get("CARPIPE_CONFIG"):
        path = Path(os.environ["CARPIPE_CONFIG"])
    values = read_values(path) if path else {}
    environment = {
        "store.url": os.environ.get("CARPIPE_STORE") or None,
        "store.ca_bundle": os.environ.get("AWS_CA_BUNDLE") or None,
        "metrics.statsd": os.environ.get("CARPIPE_STATSD") or None,
    }
    for key, value in {**environment, **(overrides or {})}.items():
        if value is not None:
            set_value(values, key, value)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(
            explain(error, Config, where=f"{path} or what overrides it" if path else "the settings")
        ) from None


def is_configured() -> bool:
    """Whether the environment names a file of settings, or a bucket: if not, the defaults may be nobody's choice."""
    return bool(os.environ.get("CARPIPE_CONFIG") or os.environ.get("CARPIPE_STORE"))


def describe_config(config: Config) -> Iterator[tuple[str, Any, str]]:
    """Yield (dotted key, value, meaning) for every setting, in order of the stages."""
    for name in Config.model_fields:
        section = getattr(config, name)
        for key, field in type(section).model_fields.items():
            yield f"{name}.{key}", getattr(section, key), field.description or ""


@cache
def setting_meanings() -> dict[str, str]:
    """What every setting says, by its dotted name."""
    return {name: meaning for name, _, meaning in describe_config(Config()) if meaning}


def odd_credentials() -> list[str]:
    """Variables of the AWS chain that no request can be signed with: they hold a blank, a line break or no ASCII."""
    return [name for name in _SIGNED_WITH if not is_signable(os.environ.get(name, ""))]


def is_signable(value: str) -> bool:
    """Whether a key, a token or a region can be part of a request's headers."""
    return value.isascii() and value.isprintable() and " " not in value

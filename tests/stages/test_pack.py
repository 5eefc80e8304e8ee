"""What of each partition goes into its shards."""

import numpy as np
import pandas as pd

from carpipe.photos import kept
from carpipe.stages.pack import rows_by_partition, rows_of


def test_rows_of_all_partitions_are_those_of_each():
    rng = np.random.default_rng(3)
    number = rng.permutation(200)
    photos = pd.DataFrame({
        "key": [f"vw_golf_2015/{one}_é.jpg" for one in number],
        "partition": rng.choice(["000002-b", "000001-a", "000003-c"], 200),
        "class_name": rng.choice(["vw golf", "opel astra"], 200),
        "split": rng.choice(["train", "val", "test"], 200),
        "dropped": rng.choice([None, "duplicate"], 200),
    })  # fmt: skip
    photos.loc[photos["partition"] == "000003-c", "dropped"] = "banner"

    found = rows_by_partition(photos)

    assert found == {name: rows_of(photos[photos["partition"] == name]) for name in ("000001-a", "000002-b")}
    assert sum(map(len, found.values())) == len(kept(photos))

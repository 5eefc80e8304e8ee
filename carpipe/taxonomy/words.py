"""What a person may say of a listing in place of a class.

None of these words can be a model: `<make>_<model>` has an underscore, and they have none. They come before any class
that a taxonomy may have called so.
"""

NOT_A_CAR = "not-a-car"
CANNOT_TELL = "cannot-tell"
SELLER_IS_RIGHT = "seller-is-right"

# The reason why a photo is dropped of whose listing it was said.
DROPPED = {NOT_A_CAR: "said_not_a_car", CANNOT_TELL: "said_cannot_tell"}
WORDS = (NOT_A_CAR, CANNOT_TELL, SELLER_IS_RIGHT)

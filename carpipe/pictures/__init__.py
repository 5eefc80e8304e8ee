"""Pictures as bytes and arrays: decoded, measured, made smaller, hashed; vehicles found; what models are fed.

In reading order:

- decode: a file in, an upright sRGB picture and its damage out; for all who look at a photo.
- budget, heif_budget, av1, cost: what decoding may cost, and what it is expected to.
- formats: what a file is; photo_error: why it is no usable photo; metadata, colour: EXIF's turn and ICC profiles.
- jpeg_segments, jpeg_decoders, jpeg_messages, jpeg_damage, jpeg_holes: JPEGs, part by part, and what they lack.
- other_formats, chunks, varint, heif_boxes, and webp_damage, png_damage, gif_damage, bmp_damage, heif_damage: the
  same for the others.
- runs, text_mode: traces of what has written over a file.
- isolation, isolation_child: hostile bytes meet their decoder in a process of its own. look: what that sends back.
- encode: smaller, and as JPEG without metadata. hashes: what a picture is recognised by. sharpness: how sharp it is.
- agreement, registration: whether two pictures are one photo, also when one of them was edited.
- detection: vehicles found and cut out. model_input: crops as networks want them.
"""

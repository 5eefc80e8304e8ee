"""The classification API: published weights behind HTTP, with the pipeline's own decoding, detector and cropping.

    app.py         routes, and what is refused before them
    refusals.py    errors as JSON, headers of all answers
    service.py     a photo in, an answer out; a listing's answer; feedback
    replies.py     answers as the API gives them
    live.py        the channel's live model, followed and swapped while requests run
    workers.py     how many photos are looked at at a time, and how many wait
    candidates.py  unsure photos and feedback, kept in the bucket for labellers
    uploads.py     photos as requests bring them
    room.py        how many of them, and for how long
    clients.py     who a client is
    listening.py   who may hold how many connections open, and for how long
    connections.py one of them: one request at a time
    arriving.py    a request as it arrives: refused early, and no dearer to read than it is long
    request_log.py a line for each of them
    bodies.py      how long bodies may be, and how much of them is held at a time
    server.py      all of it on waitress
    openapi.py     the API as OpenAPI 3.1
    schemas.py     what its answers look like
    api_page.py    the same for people
    pages/         the page to drop photos on, and the page to try the API

A consumer like any other app: it knows `carpipe.weights` and nothing of how weights are made.
"""

"""Answers held against the description of the API."""

from jsonschema import Draft202012Validator


def described(document, path, status, reply, method="post"):
    """What is wrong with an answer: all that lacks, is otherwise, or is in it and not described."""
    answer = document["paths"][path][method]["responses"].get(str(status))
    if answer is None:
        return [f"{status} is not described"]
    schema = answer["content"]["application/json"]["schema"]
    checked = Draft202012Validator({**schema, "components": closed(document["components"])})
    return [f"{error.json_path}: {error.message}" for error in checked.iter_errors(reply)]


def closed(schema):
    """The same, where objects may have no other fields than those described."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(one) for name, one in schema.items()}
    is_object = isinstance(schema.get("properties"), dict) and "type" in schema
    return inner | {"additionalProperties": False} if is_object else inner

"""Comments of one pull request over GitHub's REST interface, through PyGithub.

PyGithub follows pages, waits for rate limits and tries again; this module bounds how long, and makes one
kind of error of its many.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from parity import __version__

if TYPE_CHECKING:
    from github.Issue import Issue

ACTIONS_BOT = "github-actions[bot]"  # author of what is written with a job's own token

_PAGE = 100
_MOST_COMMENTS = 5_000
_TIMEOUT_S = 20
_TRIES = 5
_LONGEST_WAIT_S = 60  # that a rate limit may ask for: a job that waits costs more than a comment
_VIEWER = "query { viewer { login } }"


class ApiError(Exception):
    """GitHub did not do it. `status` is of its answer, None where none came."""

    def __init__(self, message: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(f"{status}: {message}" if status else message)


@dataclass(frozen=True)
class Comment:
    """A comment of the pull request; `author` is empty where the account is gone."""

    id: int
    author: str
    body: str


class PullRequestComments:
    """Reads and writes the comments of a pull request; every method raises `ApiError`.

    Args:
        api_url: ``https://api.github.com``, or ``https://HOST/api/v3``.
        token: of the job.
        repository: ``owner/name``.
        number: of the pull request.
        backoff_s: before the second retry; doubled for each after it.
    """

    def __init__(
        self, api_url: str, token: str, repository: str, number: int, backoff_s: float = 1.0
    ) -> None:
        with _translated():
            self._issue = _open(api_url, token, repository, number, backoff_s)

    def author(self) -> str:
        """Login of who writes with this token.

        A job's token may not ask REST for it; GraphQL answers every kind of token.
        """
        try:
            with _translated():
                _, answer = self._issue.requester.graphql_query(_VIEWER, {})
                return str(answer["data"]["viewer"]["login"])
        except ApiError:
            return ACTIONS_BOT

    def all(self) -> list[Comment]:
        """Every comment, the oldest first."""
        with _translated():
            found = islice(self._issue.get_comments(), _MOST_COMMENTS)
            return [
                Comment(each.id, (each.user.login or "") if each.user else "", each.body or "")
                for each in found
            ]

    def create(self, body: str) -> int:
        """Posts a comment; gives its id."""
        with _translated():
            return self._issue.create_comment(body).id

    def update(self, comment: int, body: str) -> None:
        """Replaces a comment's text."""
        with _translated():
            self._issue.get_comment(comment).edit(body)

    def delete(self, comment: int) -> None:
        """Removes a comment."""
        with _translated():
            self._issue.get_comment(comment).delete()


def _open(api_url: str, token: str, repository: str, number: int, backoff_s: float) -> Issue:
    """The pull request, of which nothing is asked yet."""
    from github import Auth, Github, GithubRetry

    retry = GithubRetry(
        total=_TRIES,
        allowed_methods=None,  # every method: an edit can be repeated, a comment posted twice is removed
        status_forcelist=[429, *range(500, 600)],
        backoff_factor=backoff_s,
        retry_after_max=_LONGEST_WAIT_S,
        max_rate_limit_wait=_LONGEST_WAIT_S,
        raise_on_status=False,  # the last answer says more than "too many retries"
    )
    client = Github(
        base_url=api_url,
        auth=Auth.Token(token),
        user_agent=f"onnx-parity-action/{__version__}",
        per_page=_PAGE,
        timeout=_TIMEOUT_S,
        retry=retry,
        seconds_between_requests=0,
        seconds_between_writes=0,
        lazy=True,
    )
    return client.get_repo(repository).get_issue(number)


@contextmanager
def _translated() -> Iterator[None]:
    from github import BadAttributeException, GithubException
    from requests import RequestException

    try:
        yield
    except GithubException as error:
        said = error.data.get("message") if isinstance(error.data, dict) else error.message
        raise ApiError(str(said or "no reason is given"), error.status) from error
    except RequestException as error:
        raise ApiError(f"no answer: {error}") from error
    # What PyGithub makes of answers that are not GitHub's, and of addresses that are none or lead elsewhere.
    except (AssertionError, AttributeError, BadAttributeException, KeyError, TypeError, ValueError) as error:
        raise ApiError(f"an answer that GitHub does not give: {error}") from error

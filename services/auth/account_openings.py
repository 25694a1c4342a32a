"""Opening the billing account of a new user: right after sign-up, and from the outbox where that failed."""

from uuid import UUID

from kit.clock import Clock
from kit.database import Database
from kit.errors import RemoteError
from kit.logs import get_logger
from privaterouter.billing.v1.billing_pb2 import OpenAccountRequest
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from services.auth.relay import Relay
from services.auth.store_outboxes import ACCOUNT_OPENINGS

# A person waits for the sign-up meanwhile; the account can come later.
DEADLINE_S = 2.0

log = get_logger()


def openings(database: Database, billing: BillingServiceStub, *, clock: Clock) -> Relay:
    """The outbox of accounts to open. Opening one twice changes nothing, so telling twice is harmless."""

    async def tell(account_id: UUID) -> bool:
        try:
            await billing.OpenAccount(OpenAccountRequest(account_id=str(account_id)), timeout=DEADLINE_S)
        except RemoteError as error:
            log.warning("account_not_opened_yet", account_id=str(account_id), error=str(error))
            return False
        return True

    return Relay(database, ACCOUNT_OPENINGS, tell, clock=clock)

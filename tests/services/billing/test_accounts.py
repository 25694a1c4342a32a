"""Opening, reading and moving accounts."""



from privaterouter.billing.v1 import billing_pb2 as pb
from tests.services.billing.world import NOW, USD, World, some_id


async def test_an_account_opens_on_free_with_its_credits(world: World) -> None:
    account_id = some_id()
    answer = await world.stub.OpenAccount(pb.OpenAccountRequest(account_id=account_id))
    expected = pb.Account(account_id=account_id, plan_id="free", posted_nanos=USD, leased_nanos=0)
    expected.create_time.FromDatetime(NOW)
    assert answer.account == expected

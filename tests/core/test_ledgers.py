"""Three ledgers worked by hand to the cent: a purchase, a rental, an API bill.

Every expected figure is a literal with its derivation beside it. Rates are chosen so that a pocket calculator
will do: 12.6825030131969720661201 % a year is 1 % a month (1.01^12), a fall by 21.5283276265199966613504 %
a year is 2 % a month (0.98^12), and so on.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from planner.core.api import TieredPrice, TokenPrices, request_usd
from planner.core.capacity import Capacity
from planner.core.demand import Shape, Workload, bursty, steady
from planner.core.outcome import Outcome
from planner.core.question import Question, priced_api, priced_hosting
from planner.core.requests import RequestSample
from planner.schema.options import ApiOption, HostingOption

UP_1_PERCENT_A_MONTH = 0.126825030131969720661201
DOWN_1_PERCENT_A_MONTH = -0.113615128283870719341199
DOWN_2_PERCENT_A_MONTH = -0.215283276265199966613504
DOWN_10_PERCENT_A_MONTH = -0.717570463519

ONE_REQUEST_PER_S = 2_629_800  # a month of 730.5 hours of 3600 seconds
HALF_A_CENT = 0.005


def outcome_of(
    option: HostingOption,
    requests: Sequence[float],
    model_changes_per_year: float = 0.0,
    shape: Shape | None = None,
    attainment: float = 0.99,
) -> Outcome:
    """The option alone, with a capacity of one request per second and replica."""
    question = Question(
        workload=Workload(np.array(requests), shape or steady()),
        hosting=(priced_hosting(option, Capacity.per_replica(1.0), len(requests), model_changes_per_year),),
        api=(),
        list_usd_per_request=(),
        attainment_fraction=attainment,
        rate_fraction_per_year=UP_1_PERCENT_A_MONTH,
        hybrids_are_allowed=True,
    )
    (outcome,) = question.outcomes()
    return outcome


def assert_ledger(outcome: Outcome, expected: Mapping[str, Sequence[float]]) -> None:
    """Every expected line to the cent, and no money in any other line."""
    for name, line in expected.items():
        np.testing.assert_allclose(outcome.ledger[name], line, rtol=0, atol=HALF_A_CENT, err_msg=name)
    for name in set(outcome.ledger) - set(expected):
        np.testing.assert_array_equal(outcome.ledger[name], 0.0, err_msg=name)


def test_purchase() -> None:
    option = HostingOption(
        name="owned",
        tenure="purchase",
        capacity={"requests_per_s": 1.0},
        purchase_usd_per_replica=12_000.0,
        lifetime_months=4,
        residual_fraction=0.25,
        power={"idle_w": 500.0, "busy_w": 900.0, "pue": 1.2, "usd_per_kwh": 0.10},
        colocation_usd_per_month_per_replica=100.0,
        maintenance_fraction_per_year=0.12,
        one_off_usd=5_000.0,
        operations={"engineer_fraction": 0.5, "engineer_usd_per_year": 24_000.0},
        requalification_usd_per_model_change=600.0,
        price_change_fraction_per_year={"purchase": DOWN_2_PERCENT_A_MONTH, "people": UP_1_PERCENT_A_MONTH},
        spare_replicas=1,
        success_fraction=0.95,
    )
    # Growth of 10 % a month: loads of 0.8, 0.88, 0.968, 1.0648, 1.17128, 1.288408 replicas.
    requests = [0.8 * ONE_REQUEST_PER_S * growth for growth in (1, 1.1, 1.21, 1.331, 1.4641, 1.61051)]
    outcome = outcome_of(option, requests, model_changes_per_year=2.0)

    # Month 4 is the first with a load above one replica. The spare makes 2, 2, 2, 3, 3, 3 that are on.
    assert outcome.replicas.tolist() == [1, 1, 1, 2, 2, 2]
    assert outcome.spare_replicas == 1
    expected = {
        "one-off": [5_000, 0, 0, 0, 0, 0, 0],
        # Start of month 1: 2 × 12 000. Start of month 4, at the end of month 3: one at 12 000 × 0.98³ = 11 294.304.
        # Start of month 5: the first two have lived 4 months, two new ones at 12 000 × 0.98⁴ = 11 068.41792.
        "purchase": [24_000, 0, 0, 11_294.304, 22_136.83584, 0, 0],
        # End of month 4: 2 × 0.25 × 12 000. End of month 6: the two have lost 2/4 of 75 %, so 0.625 × 11 068.41792
        # each; the one of month 4 has lost 3/4 of 75 %, so 0.4375 × 11 294.304.
        "resale": [0, 0, 0, 0, -6_000, 0, -18_776.7804],
        # 1 % of the price of each replica owned: 240; from month 4 on + 112.94304; from month 5 on 221.3683584 for 240.
        "maintenance": [0, 240, 240, 240, 352.94304, 334.3113984, 334.3113984],
        "colocation": [0, 200, 200, 200, 300, 300, 300],
        # Idle 0.5 kW × 1.2 × 730.5 h × 0.10 = 43.83 for each that is on; at work 0.4 kW more = 35.064 × load.
        "power": [0, 115.7112, 118.51632, 121.601952, 168.8261472, 172.55976192, 176.666738112],
        "people": [0, 1_000, 1_010, 1_020.10, 1_030.301, 1_040.60401, 1_051.0100501],
        # 600 × 2 a year.
        "re-qualification": [0, 100, 100, 100, 100, 100, 100],
    }
    assert_ledger(outcome, expected)
    total = [29_000, 1_655.7112, 1_668.51632, 12_976.005952, 18_088.9060272, 1_947.47517032, -16_814.792213388]
    np.testing.assert_allclose(outcome.cash_usd, total, rtol=0, atol=HALF_A_CENT)
    # Σ total / 1.01^month; divided by Σ 1/1.01^month over months 1…6 = 5.795476474579.
    assert outcome.npv_cost_usd(UP_1_PERCENT_A_MONTH) == pytest.approx(48_265.085574, abs=HALF_A_CENT)
    assert outcome.monthly_cost_usd(UP_1_PERCENT_A_MONTH) == pytest.approx(8_328.061685, abs=HALF_A_CENT)
    # 0.95 × 2 103 840 × Σ 1.1^(month − 1) / 1.01^month = 14 854 187.31 accepted answers.
    assert outcome.cost_per_success_usd(UP_1_PERCENT_A_MONTH) == pytest.approx(0.003249257907253, rel=1e-9)


def test_on_demand_rental() -> None:
    option = HostingOption(
        name="rented",
        tenure="on_demand",
        capacity={"requests_per_s": 1.0},
        usd_per_gpu_hour=2.0,
        gpus_per_replica=2,
        one_off_usd=800.0,
        operations={"engineer_fraction": 0.25, "engineer_usd_per_year": 72_000.0},
        price_change_fraction_per_year={"rent": DOWN_1_PERCENT_A_MONTH},
        retry_fraction=0.25,
        success_fraction=0.9,
    )
    # 0.8 × 1.25 fills one replica exactly; growth of 10 % asks for a second one.
    requests = [2_103_840.0, 2_314_224.0, 2_545_646.4]
    outcome = outcome_of(option, requests)

    assert outcome.replicas.tolist() == [1, 2, 2]
    expected = {
        "one-off": [800, 0, 0, 0],
        # 2 GPUs × 2.00 × 730.5 h = 2 922 for a replica; × 0.99, × 0.9801.
        "rent": [0, 2_922, 5_785.56, 5_727.7044],
        "people": [0, 1_500, 1_500, 1_500],
    }
    assert_ledger(outcome, expected)
    # 800 + 4 422/1.01 + 7 285.56/1.01² + 7 227.7044/1.01³; the annuity over 3 months is 2.940985207186.
    assert outcome.npv_cost_usd(UP_1_PERCENT_A_MONTH) == pytest.approx(19_335.362190, abs=HALF_A_CENT)
    assert outcome.monthly_cost_usd(UP_1_PERCENT_A_MONTH) == pytest.approx(6_574.450678, abs=HALF_A_CENT)
    # Requests are counted once, however often they are tried: 0.9 × Σ requests / 1.01^month = 6 140 172.475.
    assert outcome.cost_per_success_usd(UP_1_PERCENT_A_MONTH) == pytest.approx(0.003148993333276513, rel=1e-9)


def test_api_bill() -> None:
    option = ApiOption(
        name="api",
        price={"input_usd_per_mtok": 2.0, "cached_input_usd_per_mtok": 0.5, "output_usd_per_mtok": 10.0},
        retry_fraction=0.05,
        success_fraction=0.98,
        batch={"share_fraction": 0.4, "discount_fraction": 0.5},
        commitment={"usd_per_month": 2_500.0, "discount_fraction": 0.1},
        price_change_fraction_per_year=DOWN_10_PERCENT_A_MONTH,
    )
    prices = TokenPrices(TieredPrice(2.0), TieredPrice(0.5), TieredPrice(10.0))
    # 1000 prompt tokens, 400 of them cached, 200 generated: 600 × 2 + 400 × 0.5 + 200 × 10 = 3 400 per million.
    sample = RequestSample.of(np.array([1000.0]), np.array([200.0]), 0.4)
    list_usd = float(request_usd(prices, sample).mean())
    assert list_usd == pytest.approx(0.0034, rel=1e-12)

    question = Question(
        workload=Workload(np.full(3, 1_000_000.0), steady()),
        hosting=(),
        api=(priced_api(option, list_usd, 3),),
        list_usd_per_request=(list_usd,),
        attainment_fraction=0.99,
        rate_fraction_per_year=UP_1_PERCENT_A_MONTH,
        hybrids_are_allowed=True,
    )
    (outcome,) = question.outcomes()
    expected = {
        # 3 400 × 1.05 tries × (1 − 0.4 × 0.5) for batches × 0.9 for the commitment = 2 570.40; then 10 % less a month.
        "API usage": [0, 2_570.40, 2_313.36, 2_082.024],
        # The commitment of 2 500 is used up in month 1 only.
        "API commitment not used": [0, 0, 186.64, 417.976],
    }
    assert_ledger(outcome, expected)
    np.testing.assert_allclose(outcome.cash_usd, [0, 2_570.40, 2_500, 2_500], rtol=0, atol=HALF_A_CENT)
    # 2 570.40/1.01 + 2 500/1.01² + 2 500/1.01³; the annuity over 3 months is 2.940985207186.
    assert outcome.npv_cost_usd(UP_1_PERCENT_A_MONTH) == pytest.approx(7_422.165988, abs=HALF_A_CENT)
    assert outcome.monthly_cost_usd(UP_1_PERCENT_A_MONTH) == pytest.approx(2_523.700551, abs=HALF_A_CENT)
    # 980 000 accepted answers a month, 1 200 million tokens a month: × 2.940985207186.
    assert outcome.cost_per_success_usd(UP_1_PERCENT_A_MONTH) == pytest.approx(0.002575204644017, rel=1e-9)
    assert outcome.cost_per_mtok_usd(UP_1_PERCENT_A_MONTH, sample.mean_tokens) == pytest.approx(
        2.103083792614, rel=1e-9
    )
    assert outcome.attainment_fraction is None
    assert outcome.hosted_fraction == 0.0


@pytest.mark.parametrize(
    ("kind", "line", "month_1_usd"),
    # 1000/12 a month; 1 USD/h × 730.5; 1 kW × 730.5 h × 0.10 at full load.
    [("people", "people", 1_000 / 12), ("rent", "rent", 730.5), ("power", "power", 73.05)],
)
def test_each_price_change_moves_its_own_line_alone(kind: str, line: str, month_1_usd: float) -> None:
    option = HostingOption(
        name="rented",
        tenure="on_demand",
        capacity={"requests_per_s": 1.0},
        usd_per_gpu_hour=1.0,
        power={"idle_w": 400.0, "busy_w": 1000.0, "usd_per_kwh": 0.10},
        operations={"engineer_fraction": 1.0, "engineer_usd_per_year": 1_000.0},
        price_change_fraction_per_year={kind: UP_1_PERCENT_A_MONTH},
    )
    outcome = outcome_of(option, [float(ONE_REQUEST_PER_S)] * 3)
    expected = {"people": [0] + [1_000 / 12] * 3, "rent": [0] + [730.5] * 3, "power": [0] + [73.05] * 3}
    expected[line] = [0, month_1_usd, month_1_usd * 1.01, month_1_usd * 1.0201]
    assert_ledger(outcome, expected)


def test_bought_replicas_stay_when_the_load_falls() -> None:
    option = HostingOption(
        name="owned", tenure="purchase", capacity={"requests_per_s": 1.0}, purchase_usd_per_replica=4_800.0
    )
    # Loads of 1.5, 2.5, 0.5 replicas. The default life is 48 months, worth 100 a month, down to nothing.
    outcome = outcome_of(option, [load * ONE_REQUEST_PER_S for load in (1.5, 2.5, 0.5)])
    assert outcome.replicas.tolist() == [2, 3, 3]
    # Two after 3 months are worth 4 500 each, one after 2 months 4 600.
    assert_ledger(outcome, {"purchase": [9_600, 4_800, 0, 0], "resale": [0, 0, 0, -13_600]})


def test_rented_replicas_go_when_the_load_falls() -> None:
    option = HostingOption(name="rented", tenure="on_demand", capacity={"requests_per_s": 1.0}, usd_per_gpu_hour=1.0)
    outcome = outcome_of(option, [load * ONE_REQUEST_PER_S for load in (1.5, 2.5, 0.5)])
    assert outcome.replicas.tolist() == [2, 3, 1]
    assert_ledger(outcome, {"rent": [0, 1_461, 2_191.5, 730.5]})


def test_spares_are_on_and_help_in_hours_that_are_missed() -> None:
    option = HostingOption(
        name="rented",
        tenure="on_demand",
        capacity={"requests_per_s": 1.0},
        usd_per_gpu_hour=1.0,
        power={"busy_w": 1000.0, "usd_per_kwh": 0.10},
        spare_replicas=3,
    )
    # A mean of 2 replicas: nine tenths of the hours at 10/9, a tenth at 10, which hold half of all requests.
    outcome = outcome_of(option, [2.0 * ONE_REQUEST_PER_S], shape=bursty(5.0, 0.1), attainment=0.5)
    assert outcome.replicas.tolist() == [2]
    assert outcome.attainment_fraction == pytest.approx(0.5)
    # Five are on: 0.9 × 10/9 + 0.1 × 5 = 1.5 at work, 73.05 each.
    assert_ledger(outcome, {"rent": [0, 3_652.5], "power": [0, 109.575]})

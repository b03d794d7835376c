"""The rules of review that hold whatever a policy says, by name: why there is one, which code and
which constraint of the database enforce it, and what is said where it refuses. A rule about credit
cards that concerns review and is not enforced is a gap, with the reason.

`make docs` writes the tables in docs/rules.md from it, `banka rules` prints them, and the tests
hold the rules against what the code does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from services.review import (
    accounts,
    appeals,
    case,
    desk,
    disputes,
    examination,
    handlers,
    limit_changes,
    limit_grounds,
    limits,
    materials,
    policy,
    queue,
    reason_codes,
    viewing,
    watchlists,
    workers,
)
from services.review.api_problems import KINDS
from services.review.words import WHY_UNAVAILABLE
from shared.parameters import Words

Grade = Literal["A", "B", "C", "d", "u"]
"""How well the reason is known: A statute, B the vendor's or the press, C a secondary source, d our
own computation, u the office's practice."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """What the database refuses by itself, whoever writes: a piece of its migrations' text."""

    table: str
    says: str


@dataclass(frozen=True, slots=True)
class Invariant:
    """One rule. enforced_by: the functions without which it would not hold. refuses: codes by which
    somebody learns of it (`kind_of`); none where what it forbids cannot come about. parameter: file
    and place of what a bank may set about it."""

    code: str
    title: Words
    citation: str
    grade: Grade
    enforced_by: tuple[Callable[..., Any], ...]
    refuses: tuple[str, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    parameter: str | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A rule about credit cards that review does not enforce, and why."""

    code: str
    title: Words
    citation: str
    grade: Grade
    why: Words


Kind = Literal["problem", "finding", "obstacle", "check"]


def kind_of(code: str) -> Kind:
    """What a refusal is: a problem of the API, a finding of the policy, an obstacle to an approval,
    or why a check was not made. Raises KeyError for a code that nobody says."""
    if code in KINDS:
        return "problem"
    if code in reason_codes.REASONS:
        return "finding"
    if code in case.REASONS_AGAINST or code in limit_changes.REASONS_AGAINST:
        return "obstacle"
    if code in WHY_UNAVAILABLE:
        return "check"
    raise KeyError(code)


def place_of(enforcer: Callable[..., Any]) -> str:
    """Module and name of a function of review: `case.decide_sign`."""
    return f"{enforcer.__module__.removeprefix('services.review.')}.{enforcer.__qualname__}"


_CARD_RULES: Final = "商业银行信用卡业务监督管理办法 2011"
_JOINT: Final = "银保监规〔2022〕13号"
_BUREAU: Final = "征信业管理条例"
_LAUNDERING: Final = "反洗钱法 2024"
_PERSONAL: Final = "个人信息保护法"
_POLICY: Final = "bank's policy"

INVARIANTS: tuple[Invariant, ...] = (
    # who decides
    Invariant(
        "NEW_TO_BANK_BY_PEOPLE",
        Words(zh="新客户一律由人工审批", en="People decide about a new customer"),
        f"{_CARD_RULES} Art. 43",
        "C",
        (policy.binding, case.apply_recommendation),
        ("NEW_TO_BANK",),
        (
            Constraint(
                "decision",
                "CHECK (cardinality(decided_by) = CASE WHEN automatic THEN 0 ELSE 2 END)",
            ),
        ),
    ),
    Invariant(
        "CLOSER_LOOK",
        Words(zh="有风险信息的从严审查", en="Risk information brings a closer look"),
        f"{_CARD_RULES} Art. 43",
        "C",
        (policy.Policy.evaluate, policy.binding, case.apply_recommendation),
        (
            *("NO_CREDIT_RECORD", "BUREAU_ADVERSE", "OVERDUE_MINOR", "QUERIES_MANY"),
            *("CARDS_MANY", "PRE_CHECK_WARNINGS", "EMPLOYER_ARRANGED"),
        ),
        parameter="policies: rules.json",
    ),
    Invariant(
        "OPINION_STATED",
        Words(zh="无审查意见不得作出决定", en="No decision without a reviewer's opinion"),
        f"{_CARD_RULES} Art. 42",
        "C",
        (case.decide_sign, case.decide_propose_approval, case.decide_propose_decline),
        ("nothing-proposed", "no-opinion"),
    ),
    Invariant(
        "TWO_PEOPLE_SIGN",
        Words(zh="人工决定须由两名不同人员签署", en="Two different people sign what people decide"),
        f"{_CARD_RULES} Art. 42; {_POLICY}",
        "C",
        (case.decide_sign,),
        ("same-person",),
        (Constraint("decision", "CHECK (automatic OR decided_by[1] <> decided_by[2])"),),
    ),
    Invariant(
        "EVIDENCE_FROZEN",
        Words(
            zh="无系统审核记录不得作出决定", en="No decision without the record of the examination"
        ),
        f"{_CARD_RULES} Art. 42",
        "C",
        (case.decide_propose_approval, case.decide_propose_decline),
        ("not-approvable", "not-scored"),
        (
            Constraint("decision", "policy_digest text NOT NULL REFERENCES policy_archive"),
            Constraint("decision", "inputs text NOT NULL"),
        ),
    ),
    # what has to be there
    Invariant(
        "MATERIAL_THERE",
        Words(
            zh="缺少产品要求的资料不得批准",
            en="No approval while a document is missing that the product requires",
        ),
        f"{_CARD_RULES} Art. 42",
        "C",
        (materials.missing_items, case.approval_obstacles, case.apply_recommendation),
        ("NO_DOCUMENTS", "DOCUMENT_MISSING"),
        parameter="product: materials",
    ),
    Invariant(
        "FIELDS_THERE",
        Words(
            zh="缺少产品要求的必填项不得批准",
            en="No approval while a field of the form is missing that the product requires",
        ),
        f"{_CARD_RULES} Art. 37, 42",
        "C",
        (materials.missing_fields, case.approval_obstacles, case.apply_recommendation),
        ("FIELD_MISSING",),
        parameter="product: form.needed",
    ),
    Invariant(
        "EVIDENCE_WITHIN_VALIDITY",
        Words(
            zh="核查结果超过有效期或名单已更新的，重新查询前不得批准",
            en="No approval by an answer past its validity, or of an older list, until it is asked"
            " anew",
        ),
        f"{_LAUNDERING} Art. 29; {_POLICY}",
        "u",
        (case.still_holds, case.approval_obstacles, case.apply_recommendation),
        ("EVIDENCE_STALE",),
        parameter="checks: systems.watchlist.valid_days",
    ),
    Invariant(
        "EVIDENCE_ABOUT_WHO_APPLIES",
        Words(
            zh="姓名或证件信息更正后，按更正后的信息重新核查，完成前不得批准",
            en="After a correction of name or document the checks are made anew, and nobody is"
            " approved before",
        ),
        f"{_LAUNDERING} Art. 28, 29; {_BUREAU} Art. 18",
        "A",
        (case.about_this_person, case.begin_review, examination.start, case.approval_obstacles),
        ("EVIDENCE_STALE", "CHECK_PENDING"),
    ),
    Invariant(
        "RESCREENED_BY_EVERY_LIST",
        Words(
            zh="任何名单变化后，未审结的申请均重新筛查，完成前不得批准",
            en="Whoever is open is screened again when any list changes, and approved only then",
        ),
        f"{_LAUNDERING} Art. 28, 29",
        "A",
        (
            examination.screen_again,
            case.of_these_lists,
            case.approval_obstacles,
            watchlists.on_changed,
        ),
        ("EVIDENCE_STALE", "CHECK_PENDING"),
    ),
    Invariant(
        "MISSING_NEVER_PASSES",
        Words(zh="查不到的信息不视为通过", en="What could not be asked never passes"),
        f"{_CARD_RULES} Art. 42; {_LAUNDERING} Art. 29",
        "C",
        (policy.binding, case.approval_obstacles),
        ("IDENTITY_UNAVAILABLE", "BUREAU_UNAVAILABLE", "WATCHLIST_UNAVAILABLE"),
    ),
    Invariant(
        "SEEN_WHERE_NOT_REGISTERED",
        Words(
            zh="联网核查不含的证件，须有人亲见本人及原件",
            en="Where the registry does not hold the document, somebody saw person and original",
        ),
        "三亲见; " + _LAUNDERING + " Art. 28",
        "C",
        (case.approval_obstacles,),
        ("IDENTITY_UNAVAILABLE",),
        parameter="product: pre_check.meeting",
    ),
    Invariant(
        "STUDENT_SECOND_SOURCE",
        Words(zh="学生须有第二还款来源", en="A student has a second source of repayment"),
        _JOINT,
        "C",
        (policy.binding, case.approval_obstacles),
        ("STUDENT_SECOND_SOURCE", "NO_SECOND_SOURCE"),
    ),
    Invariant(
        "FRAUD_SEEN_BY_PEOPLE",
        Words(
            zh="命中反欺诈规则的须由人工核实",
            en="What the fraud rules notice is looked at by a person",
        ),
        f"{_CARD_RULES} Art. 42, 43",
        "C",
        (policy.binding, case.apply_recommendation),
        (
            *("FRAUD_VELOCITY", "FRAUD_MOBILE", "FRAUD_DEVICE", "FRAUD_OFFICE_PHONE"),
            *("FRAUD_WORK_ADDRESS", "FRAUD_EMPLOYER", "FRAUD_CONTRADICTION"),
        ),
        parameter="checks: fraud",
    ),
    Invariant(
        "HELD_UNTIL_LOOKED_INTO",
        Words(
            zh="挂起期间不作决定，由提交挂起以外的人员解除或拒绝",
            en="Nothing is decided about a held case, and another person ends the hold",
        ),
        f"{_CARD_RULES} Art. 42; {_POLICY}",
        "C",
        (case.decide_claim, case.decide_release, case.decide_sign),
        ("not-in-queue", "same-person"),
        (Constraint("review_case", "state = 'on_hold' OR (hold_reason IS NULL"),),
        "clocks: hold_working_days",
    ),
    # who may have a card
    Invariant(
        "IDENTITY_CONFIRMED",
        Words(zh="身份不明或不符者不予发卡", en="No card for somebody unidentified"),
        f"{_LAUNDERING} Art. 28",
        "A",
        (policy.binding, case.approval_obstacles),
        ("ID_MISMATCH", "ID_CANCELLED"),
    ),
    Invariant(
        "WATCHLIST_HIT_HELD",
        Words(zh="命中名单的先由合规核实", en="Compliance looks into a watchlist's hit first"),
        f"{_LAUNDERING} Art. 28, 29",
        "A",
        (policy.binding, case.apply_recommendation),
        ("WATCHLIST_HIT",),
    ),
    Invariant(
        "AGE_WITHIN_PRODUCT",
        Words(
            zh="年龄须在产品范围内，主卡下限不得低于十八岁",
            en="The age lies within the product's range, which begins at 18 for main cards",
        ),
        _CARD_RULES,
        "C",
        (policy.binding, case.approval_obstacles),
        ("AGE_OUTSIDE",),
        parameter="product: applicants",
    ),
    Invariant(
        "CARDS_PER_CUSTOMER",
        Words(zh="每位客户持卡数有上限", en="One customer has so many cards at most"),
        _JOINT,
        "C",
        (policy.binding, case.approval_obstacles, handlers.on_scored),
        ("OWN_CARDS_AT_CAP", "OWN_LIMITS_CHANGED"),
        parameter="product: cards_per_customer",
    ),
    # how much
    Invariant(
        "OTHER_LIMITS_DEDUCTED",
        Words(
            zh="授信额度须扣减他行及本行已有额度",
            en="Limits at other banks and own ones are deducted",
        ),
        _JOINT,
        "d",
        (
            *(limits.work_out, case.decide_propose_approval, case.decide_sign),
            *(case.own_grown, handlers.on_scored),
        ),
        ("NO_LIMIT_LEFT", "limit-too-high", "OWN_LIMITS_CHANGED"),
        (Constraint("decision", "CHECK ((outcome = 'approve') = (granted_limit IS NOT NULL))"),),
        parameter="product: limit.total_cap",
    ),
    Invariant(
        "DORMANCY_BLOCKS_ISSUING",
        Words(
            zh="睡眠卡占比超过上限的，停止新发卡",
            en="No new cards while more of those issued are dormant than the bound",
        ),
        _JOINT,
        "C",
        (accounts.stop_of, case.approval_obstacles),
        (accounts.OVER_BOUND, accounts.UNREPORTED),
        parameter="accounts: dormancy.bound",
    ),
    Invariant(
        "CASH_WITHIN_LIMIT",
        Words(zh="预借现金额度不超过授信额度", en="The cash limit is never above the limit"),
        _JOINT,
        "C",
        (limits.cash_limit,),
        parameter="product: limit.cash_share",
    ),
    # the credit bureau
    Invariant(
        "BUREAU_BY_CONSENT",
        Words(
            zh="查询征信前须有用途明确的授权",
            en="The bureau is asked with a consent signed before, for this purpose",
        ),
        f"{_BUREAU} Art. 18, 19",
        "A",
        (examination.consent_holds, case.approval_obstacles),
        ("no-consent", "NO_CONSENT"),
    ),
    Invariant(
        "BUREAU_WHILE_OPEN",
        Words(zh="申请已结束的不再查询", en="Nobody is asked about an application that has ended"),
        f"{_BUREAU} Art. 18, 19",
        "A",
        (workers.check_worker,),
        ("not-open",),
    ),
    Invariant(
        "BUREAU_ASKED_ONCE",
        Words(
            zh="同一申请内，结果有效期内不重复查询",
            en="Within one application nobody is asked twice while an answer is valid",
        ),
        f"{_BUREAU} Art. 18; {_POLICY}",
        "u",
        (examination.start, examination.repeat, examination.once_more),
        ("nothing-to-repeat",),
        parameter="checks: systems.bureau.valid_days",
    ),
    # what may be known, and for how long
    Invariant(
        "SUSPICION_CONFIDENTIAL",
        Words(zh="可疑事项只有合规可见", en="A suspicion is known to compliance alone"),
        f"{_LAUNDERING} Art. 35",
        "A",
        (
            *(viewing.shown_case, viewing.shown_history, viewing.shown_decision),
            *(viewing.shown_change_state, viewing.shown_deciders),
            *(desk.public_findings, reason_codes.public_codes),
        ),
    ),
    Invariant(
        "ERASED_STAYS_CLOSED",
        Words(
            zh="信息已删除或限制处理的，停止处理",
            en="What was erased or restricted is processed no more",
        ),
        f"{_PERSONAL} Art. 47",
        "A",
        (workers.policy_worker, handlers.on_scored),
        ("no-key",),
    ),
    Invariant(
        "RECORD_KEPT",
        Words(zh="决定及经过不可修改", en="What was decided and done is not rewritten"),
        f"{_LAUNDERING} Art. 34",
        "A",
        (),
        constraints=(
            Constraint(
                "decision",
                "REVOKE UPDATE, DELETE ON policy_archive, decision, case_history, personal_view",
            ),
        ),
        parameter="clocks: retention_years",
    ),
    # after a decision
    Invariant(
        "TAKEN_UP_BY_PEOPLE",
        Words(
            zh="重新提交的申请由人工审查新材料",
            en="A person looks at what takes up an earlier application again",
        ),
        _POLICY,
        "u",
        (case.apply_recommendation,),
        ("TAKEN_UP_AGAIN",),
        parameter="clocks: reconsideration_days",
    ),
    Invariant(
        "DECLINE_APPEALED",
        Words(
            zh="被拒绝的客户可要求说明或人工复核，每次一件，并有答复期限",
            en="Who was declined may demand an explanation or a person's decision, one at a"
            " time and with a term",
        ),
        f"{_PERSONAL} Art. 24",
        "A",
        (appeals.decide_open, appeals.due_at),
        ("appeal-open", "not-declined"),
        parameter="clocks: appeal_working_days",
    ),
    Invariant(
        "AUTOMATED_LIMIT_APPEALED",
        Words(
            zh="额度由系统自动核定且其后未作长期调整的客户可要求说明或人工复核，每次一件，并有答复期限",
            en="Whose limit the policy alone set, and nobody changed for good since, may demand an"
            " explanation or a person's decision, one at a time and with a term",
        ),
        f"{_PERSONAL} Art. 24",
        "A",
        (appeals.decide_open, appeals.not_appealable, appeals.due_at),
        ("appeal-open", "not-automatic", "limit-changed"),
        parameter="clocks: appeal_working_days",
    ),
    Invariant(
        "APPEALED_LIMIT_RAISED_BY_RULE",
        Words(
            zh="复核额度不改变原决定；需调升的，按调额规定办理，且不超过客户申请时的期望",
            en="A limit that was appealed against stays as it was decided: to raise it is a change"
            " of its own by the rules of changes, to no more than the customer had wished for",
        ),
        f"{_PERSONAL} Art. 24; {_JOINT}",
        "d",
        (appeals.decide_answer, limit_changes.begin_increase),
        ("no-card", "no-own-limit", "limit-change-open"),
    ),
    Invariant(
        "CHANGE_WHOLE_OR_BY_PEOPLE",
        Words(
            zh="系统仅可按客户申请全额批准调额；其余的，由人工决定",
            en="By itself the policy grants a change of a limit whole, as it was asked for; what it"
            " would not, a person decides",
        ),
        f"{_PERSONAL} Art. 24",
        "A",
        (limit_changes.on_worked_out,),
        parameter="limit_changes: automatic_up_to",
    ),
    Invariant(
        "APPEAL_BY_ANOTHER",
        Words(
            zh="复核由未参与原决定、也未答复过此前复核的人员作出",
            en="Who took part in a decision, or answered an earlier appeal, does not answer the"
            " appeal against it",
        ),
        f"{_PERSONAL} Art. 24",
        "A",
        (appeals.decide_claim, appeals.decide_reassign, appeals.decide_answer),
        ("same-person",),
        (Constraint("appeal", "CHECK (coalesce(answered_by <> ALL (deciders), true))"),),
    ),
    # another limit for a card
    Invariant(
        "INCREASE_DEDUCTED",
        Words(
            zh="调升额度（含临时额度）同样扣减他行及本行已有额度，且不超过客户申请",
            en="An increase, a temporary one too, is deducted like a first limit, and is never more"
            " than was asked for",
        ),
        _JOINT,
        "d",
        (limit_grounds.most, limit_changes.decide_grant, limit_changes.decide_sign),
        ("limit-too-high", "NO_ROOM", "OWN_LIMITS_CHANGED"),
        (
            Constraint(
                "limit_change",
                "CHECK (kind = 'decrease' OR granted IS NULL OR"
                " coalesce(granted <= least(ceiling, wanted), false))",
            ),
        ),
        "product: limit.total_cap",
    ),
    Invariant(
        "INCREASE_AGREED",
        Words(
            zh="未经客户本人同意不得调升额度", en="No increase without the customer's own agreement"
        ),
        f"民法典 Art. 543; {_CARD_RULES}",
        "C",
        (limit_grounds.obstacles,),
        ("NOT_AGREED",),
        (Constraint("limit_change", "CHECK (kind = 'decrease' OR agreed_at IS NOT NULL)"),),
    ),
    Invariant(
        "STUDENT_INCREASE_GUARANTEED",
        Words(
            zh="学生调升额度前须有第二还款来源方的书面同意",
            en="A student's second source of repayment agrees in writing before any increase",
        ),
        f"{_CARD_RULES} Art. 45; {_JOINT}",
        "C",
        (limit_grounds.obstacles,),
        ("NO_GUARANTEE", "NO_SECOND_SOURCE"),
        parameter="limit_changes: guarantee_days",
    ),
    Invariant(
        "INCREASE_IN_GOOD_STANDING",
        Words(
            zh="账户有逾期、已销户或未报送的，不得调升额度",
            en="No increase for an account that is past due, closed or not reported",
        ),
        _POLICY,
        "u",
        (limit_grounds.obstacles,),
        ("ACCOUNT_PAST_DUE", "ACCOUNT_CLOSED", "ACCOUNT_UNREPORTED"),
        parameter="limit_changes: account.most_days_past_due",
    ),
    Invariant(
        "INCREASE_BY_PEOPLE_FOR_NEW",
        Words(
            zh="原为新客户的，调升额度不得仅由系统批准",
            en="No increase by the policy alone for somebody who was new to the bank",
        ),
        f"{_CARD_RULES} Art. 43",
        "C",
        (limit_changes.on_worked_out,),
        parameter="limit_changes: automatic_up_to",
    ),
    Invariant(
        "DECREASE_ABOVE_DEBT",
        Words(
            zh="调降后的额度不低于客户可能的欠款",
            en="A limit is never lowered below what may be owed",
        ),
        _POLICY,
        "u",
        (limit_grounds.not_below, limit_grounds.obstacles),
        ("limit-not-fitting", "OWED_UNKNOWN"),
        (
            Constraint(
                "limit_change",
                "CHECK (kind <> 'decrease' OR granted IS NULL OR granted BETWEEN 0 AND before - 1)",
            ),
        ),
        "limit_changes: account.stale_days",
    ),
    Invariant(
        "TEMPORARY_ENDS",
        Words(
            zh="临时额度到期自动恢复，不转为永久额度",
            en="A temporary limit ends on its day and never turns permanent",
        ),
        "common practice of the large issuers",
        "C",
        (limit_grounds.until_fits, limit_changes.on_expiry_deadline),
        ("UNTIL_PASSED",),
        (Constraint("limit_change", "CHECK ((kind = 'temporary') = (until IS NOT NULL))"),),
        "limit_changes: temporary.longest_days",
    ),
    Invariant(
        "LIMIT_CHANGE_TOLD",
        Words(
            zh="额度变更的决定及临时额度的到期均须通知客户",
            en="What was decided about a limit is told, and so is the end of a temporary one",
        ),
        _CARD_RULES,
        "C",
        (
            *(limit_changes.decide_sign, limit_changes.on_reminder_deadline),
            limit_changes.on_expiry_deadline,
        ),
        parameter="limit_changes: decrease_notice_working_days",
    ),
    Invariant(
        "DISPUTE_ANSWERED",
        Words(
            zh="征信异议的书面答复期限为二十日，临期与超时均予记录和标示",
            en="A dispute about a credit report has 20 days for its answer in writing; that it"
            " is near or overdue is noted and marked",
        ),
        f"{_BUREAU} Art. 25",
        "A",
        (disputes.due_at, disputes.decide_open, disputes.on_warning, disputes.on_deadline),
        parameter="clocks: dispute_days",
    ),
    Invariant(
        "DISPUTED_REPORT_BY_PEOPLE",
        Words(
            zh="征信报告有异议的，答复前须由人工审批",
            en="No machine decides by a credit report while its person disputes it",
        ),
        f"{_BUREAU} Art. 25; {_PERSONAL} Art. 24",
        "d",
        (case.apply_recommendation, limit_changes.on_worked_out),
        ("REPORT_DISPUTED",),
        (Constraint("appeal", "CHECK (wish <> 'report-dispute' OR person IS NOT NULL)"),),
    ),
    Invariant(
        "LATE_PAPER_BY_PEOPLE",
        Words(
            zh="移交后收到新资料的申请由人工决定",
            en="Where a paper came after the hand-over a person decides",
        ),
        f"{_CARD_RULES} Art. 42; {_POLICY}",
        "u",
        (examination.add_paper, case.apply_recommendation),
    ),
    Invariant(
        "CORRECTED_REPORT_ASKED_ANEW",
        Words(
            zh="更正后重新查询征信，不得凭原报告批准或拒绝",
            en="A report that was put right is asked for anew; by the old one nobody is approved"
            " or declined",
        ),
        f"{_BUREAU} Art. 25; {_POLICY}",
        "u",
        (
            *(disputes.decide_answer, examination.ask_anew, limit_changes.ask_anew),
            case.put_right_since,
        ),
        ("CHECK_PENDING", "EVIDENCE_STALE", "answer-wrong"),
    ),
    # clocks
    Invariant(
        "REVIEW_IN_TIME",
        Words(
            zh="审核时限自受理起按工作日计算，等待客户补件期间不计，临期与超时均予标示",
            en="Review has so many working days from the hand-over, those while the customer is"
            " awaited not counted; what is near or late is marked",
        ),
        f"{_CARD_RULES}; {_POLICY}",
        "C",
        (case.begin_review, case.follow, queue.clock_of),
        constraints=(Constraint("review_case", "ADD CONSTRAINT review_case_timed CHECK"),),
        parameter="clocks: review_working_days",
    ),
    Invariant(
        "COOL_DOWN_TOLD",
        Words(
            zh="拒绝后过冷静期方可再次申请",
            en="A decline says from when on one may apply again",
        ),
        _POLICY,
        "u",
        (case.reapply_from,),
        constraints=(
            Constraint(
                "decision",
                "(outcome = 'decline') = (category IS NOT NULL AND reapply_from IS NOT NULL)",
            ),
        ),
        parameter="product: cool_down",
    ),
)

_ELSEWHERE: Final = Words(
    zh="由制卡及核心系统负责",
    en="is the card factory's and core banking's to do",
)

GAPS: tuple[Gap, ...] = (
    Gap(
        "CLOCKS_KEPT",
        Words(
            zh="审核、复核、异议、挂起及额度变更均在期限内办结",
            en="What has a term is done within it: review, appeals, disputes, holds,"
            " changed limits",
        ),
        f"{_CARD_RULES}; {_BUREAU} Art. 25; {_PERSONAL} Art. 24",
        "C",
        Words(
            zh="系统标示临期与超时并按到期先后排列，无人认领的由所属机构审批人负责并列入审批队列，"
            "但不能代人作出决定，也不自动分派",
            en="the software marks what is near or overdue and lists what is due first; what nobody"
            " has claimed is the branch's reviewers' and stands on their queue, but it makes nobody"
            " decide, and gives nothing to anybody by itself",
        ),
    ),
    Gap(
        "REFUSED_FOR_ORDER_APPEALED",
        Words(
            zh="因另有调额申请待决定或临时额度未到期而未受理的调额，可要求说明和人工复核",
            en="A change of a limit that was refused without a person, because another waits or a"
            " temporary limit is in force, is explained or decided anew by a person on demand",
        ),
        f"{_PERSONAL} Art. 24",
        "A",
        Words(
            zh="此类拒绝仅因先后次序，未对客户情况作出评价；前一件办结或临时额度到期后可再次申请",
            en="it is refused for the order of things alone, and nothing about the customer is"
            " weighed; they ask again once the other has ended",
        ),
    ),
    Gap(
        "BUREAU_ASKED_ONCE_ACROSS",
        Words(
            zh="同一客户的另一申请在有效期内不重复查询征信",
            en="Another application of the same person uses an answer that is valid",
        ),
        f"{_BUREAU} Art. 18; {_POLICY}",
        "u",
        Words(
            zh="查询结果用该申请的密钥加密，每次查询须有该申请自己的授权，因此另一申请会重新查询",
            en="an answer is sealed for its own application, whose consent it was asked by; another"
            " application asks anew",
        ),
    ),
    Gap(
        "RESCREENED_UNTIL_ISSUED",
        Words(
            zh="名单变化后，已批准尚未发卡的申请重新筛查",
            en="Whoever is approved without a card yet is screened again when a list changes",
        ),
        f"{_LAUNDERING} Art. 28, 29",
        "A",
        Words(
            zh="批准后随即下单制卡，没有可以暂停或撤回制卡的事件，筛查结果在此无从执行；"
            "已批准的客户由本行对存量客户的筛查负责",
            en="with the approval the card is ordered, and no event stops or takes back an order:"
            " nothing could be done here about a hit; whoever is approved is a customer, whom the"
            " bank screens elsewhere",
        ),
    ),
    Gap(
        "AGENTS_VERIFIED",
        Words(
            zh="核实代理人、监护人、主卡持卡人及代办单位的身份",
            en="Whoever acts for the customer is verified: agent, guardian, main"
            " cardholder, employer",
        ),
        f"{_LAUNDERING} Art. 31",
        "A",
        Words(
            zh="联网核查与名单筛查仅针对持卡人本人；其他人由初审核对资料",
            en="registry and watchlists are asked about the person alone who will hold the card; of"
            " others the pre-check has papers",
        ),
    ),
    Gap(
        "IDENTITY_ELEMENTS",
        Words(
            zh="登记九项身份要素（含职业与证件有效期）",
            en="Nine elements of identity are on record, occupation and the document's term"
            " among them",
        ),
        f"{_LAUNDERING} Art. 29",
        "C",
        Words(
            zh="必填字段由产品参数规定，自带的产品不要求资产客户和存量客户填写职业",
            en="which fields a form needs is the product's to say; those that ship ask asset"
            " owners and existing customers for no occupation",
        ),
    ),
    Gap(
        "CONSENT_WITHDRAWN",
        Words(zh="客户可以撤回授权", en="A consent can be taken back"),
        f"{_PERSONAL} Art. 15",
        "A",
        Words(
            zh="授权不能单独撤回：客户撤回整件申请后不再查询",
            en="a consent alone cannot be taken back: the customer withdraws the application, and"
            " nobody is asked any more",
        ),
    ),
    Gap(
        "LIMIT_REVIEWED_YEARLY",
        Words(zh="授信额度至少每年复核一次", en="A limit is looked at again every year"),
        _JOINT,
        "C",
        Words(
            zh="系统不会因满一年自行发起复核；调降额度由人员发起",
            en="nothing opens a review by itself when a year has passed; a person begins to lower a"
            " limit",
        ),
    ),
    Gap(
        "STUDENT_ISSUERS",
        Words(
            zh="同一学生持有学生卡的发卡行不超过两家",
            en="A student has student cards of two banks at most",
        ),
        _CARD_RULES,
        "C",
        Words(
            zh="征信报告未列明学生卡的发卡行",
            en="the bureau's report does not name the issuers of student cards",
        ),
    ),
    Gap(
        "SOLE_TARGET",
        Words(
            zh="不得以发卡量、客户数等作为单一或主要考核指标",
            en="How many cards are issued is nobody's only or main target",
        ),
        _JOINT,
        "C",
        Words(
            zh="考核指标由本行另行规定；审批页面不统计人员的批准数量",
            en="targets are set elsewhere; no page of review counts what an officer approved",
        ),
    ),
    Gap(
        "ACTIVATION_CHECKED",
        Words(
            zh="卡片与密码分开寄送，激活前核验身份，激活前不收费、不赠礼",
            en="Card and PIN go apart; who activates is identified; no fee and no gift before that",
        ),
        _CARD_RULES,
        "C",
        _ELSEWHERE,
    ),
    Gap(
        "NEVER_ACTIVATED_NOT_RENEWED",
        Words(zh="从未激活的卡片到期不续发", en="A card that was never activated is not renewed"),
        _CARD_RULES,
        "C",
        _ELSEWHERE,
    ),
    Gap(
        "NOTICE_OF_NEW_TERMS",
        Words(
            zh="章程或产品变更提前四十五日公告",
            en="New terms of a card are announced 45 days before",
        ),
        _CARD_RULES,
        "C",
        Words(
            zh="产品的新版本只适用于新的申请；现有持卡人的合约由核心系统管理",
            en="a new version of a product is for new applications alone; the contracts of"
            " those who have a card are core banking's",
        ),
    ),
    Gap(
        "INSTALMENTS",
        Words(
            zh="分期业务的期限、金额及费率规则",
            en="Terms, amounts and prices of instalments",
        ),
        _JOINT,
        "C",
        _ELSEWHERE,
    ),
    Gap(
        "PRICES_SHOWN",
        Words(
            zh="利率以年化方式展示，收取违约金，不收超限费",
            en="Rates are shown by the year; a penalty for late payment, no fee above the limit",
        ),
        _CARD_RULES,
        "B",
        Words(
            zh="审批只给出定价等级，价格由核心系统计算和展示",
            en="review says a class of prices alone; core banking has the prices and shows them",
        ),
    ),
)

"""The programme's closed lists: every reason to say no, and what a form's problem looks like."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Refusal(Enum):
    """Why the programme does not do what was asked. The values are stable: reports count them."""

    # the form
    FIELD_IS_MISSING = "FieldIsMissing"
    FIELD_IS_TOO_LONG = "FieldIsTooLong"
    FIELD_IS_NO_NUMBER = "FieldIsNoNumber"
    FIELD_IS_NOT_IN_LIST = "FieldIsNotInList"
    FIELD_IS_UNKNOWN = "FieldIsUnknown"
    FIELD_IS_NO_DATE = "FieldIsNoDate"
    FIELD_IS_NOT_ASKED = "FieldIsNotAsked"
    NUMBER_IS_OUT_OF_BOUNDS = "NumberIsOutOfBounds"
    FILE_IS_UNKNOWN = "FileIsUnknown"
    FILE_IS_TOO_LARGE = "FileIsTooLarge"
    FILE_NAME_IS_WRONG = "FileNameIsWrong"
    FILE_KIND_IS_NOT_TAKEN = "FileKindIsNotTaken"
    ATTACHMENTS_ARE_TOO_MANY = "AttachmentsAreTooMany"
    DRAFT_IS_UNKNOWN = "DraftIsUnknown"
    DRAFT_IS_OVER = "DraftIsOver"
    DRAFT_IS_TOO_LARGE = "DraftIsTooLarge"
    DRAFTS_ARE_TOO_MANY = "DraftsAreTooMany"
    ROWS_ARE_TOO_MANY = "RowsAreTooMany"
    # the call
    CALL_IS_UNKNOWN = "CallIsUnknown"
    CALL_EXISTS = "CallExists"
    CALL_IS_NOT_OPEN_YET = "CallIsNotOpenYet"
    CALL_IS_CLOSED = "CallIsClosed"
    CALL_IS_STILL_OPEN = "CallIsStillOpen"
    CALL_IS_DECIDED = "CallIsDecided"
    CALL_IS_NOT_DECIDED = "CallIsNotDecided"
    PROJECT_HAS_APPLIED = "ProjectHasApplied"
    SIZE_IS_OVER_CAP = "SizeIsOverCap"
    SIZE_IS_NOT_WHOLE_NODES = "SizeIsNotWholeNodes"
    TERM_IS_OVER_CAP = "TermIsOverCap"
    GROUP_IS_NOT_ADMITTED = "GroupIsNotAdmitted"
    # the file of a call
    VALUE_IS_MISSING = "ValueIsMissing"
    VALUE_IS_UNREADABLE = "ValueIsUnreadable"
    VALUE_IS_WRONG = "ValueIsWrong"
    VALUE_IS_UNKNOWN = "ValueIsUnknown"
    SUM_IS_WRONG = "SumIsWrong"
    NAME_IS_DOUBLE = "NameIsDouble"
    DATES_ARE_OUT_OF_ORDER = "DatesAreOutOfOrder"
    STAGE_IS_OUT_OF_ORDER = "StageIsOutOfOrder"
    NO_STAGE_GIVES_A_SCORE = "NoStageGivesAScore"
    HOLD_HOLDS_NOTHING = "HoldHoldsNothing"
    CONDITION_ASKS_NOTHING = "ConditionAsksNothing"
    CALL_IS_PUBLISHED = "CallIsPublished"
    CALL_OPENED_ALREADY = "CallOpenedAlready"
    # who may apply
    RULE_ADMITS_OTHERS = "RuleAdmitsOthers"
    REGISTRATION_IS_TOO_OLD = "RegistrationIsTooOld"
    SUPPLIER_IS_NO_BENEFICIARY = "SupplierIsNoBeneficiary"
    REPORT_IS_OWED = "ReportIsOwed"
    APPLICATIONS_ARE_TOO_MANY = "ApplicationsAreTooMany"
    # stages
    STAGE_IS_UNKNOWN = "StageIsUnknown"
    STAGE_IS_NOT_OPEN = "StageIsNotOpen"
    STAGE_TAKES_OTHER_INPUT = "StageTakesOtherInput"
    STAGE_PASSES_NOBODY = "StagePassesNobody"
    STAGES_ARE_OPEN = "StagesAreOpen"
    ITEM_IS_UNKNOWN = "ItemIsUnknown"
    VOTE_IS_CAST = "VoteIsCast"
    # applications and reviews
    APPLICATION_IS_UNKNOWN = "ApplicationIsUnknown"
    APPLICATION_IS_WITHDRAWN = "ApplicationIsWithdrawn"
    APPLICATION_IS_DECIDED = "ApplicationIsDecided"
    APPLICATION_IS_IN_REVIEW = "ApplicationIsInReview"
    REVIEWERS_ARE_TOO_FEW = "ReviewersAreTooFew"
    REVIEWER_IS_UNKNOWN = "ReviewerIsUnknown"
    PROFILE_IS_INCOMPLETE = "ProfileIsIncomplete"
    BID_IS_UNKNOWN = "BidIsUnknown"
    CONFLICT_NEEDS_REASON = "ConflictNeedsReason"
    REVIEWER_IS_NOT_ASSIGNED = "ReviewerIsNotAssigned"
    REVIEW_IS_GIVEN = "ReviewIsGiven"
    REVIEWS_ARE_MISSING = "ReviewsAreMissing"
    CRITERIA_DIFFER = "CriteriaDiffer"
    MARK_IS_OUT_OF_RANGE = "MarkIsOutOfRange"
    # the committee
    RULE_NEEDS_MINUTES = "RuleNeedsMinutes"
    CALL_HAS_NO_LOTTERY = "CallHasNoLottery"
    DRAW_NEEDS_SOURCE = "DrawNeedsSource"
    LOTS_ARE_DRAWN = "LotsAreDrawn"
    LOTS_ARE_NOT_DRAWN = "LotsAreNotDrawn"
    PROPOSAL_IS_UNKNOWN = "ProposalIsUnknown"
    PROPOSAL_IS_STALE = "ProposalIsStale"
    PROPOSAL_IS_NOT_THE_LAST = "ProposalIsNotTheLast"
    DIGEST_DIFFERS = "DigestDiffers"
    LINE_IS_OUT_OF_RANGE = "LineIsOutOfRange"
    PIN_HAS_NO_ROOM = "PinHasNoRoom"
    EXCLUSION_NEEDS_REASON = "ExclusionNeedsReason"
    MINUTES_NEED_NAMES = "MinutesNeedNames"
    # awards and allocations
    AWARD_IS_NOT_OFFERED = "AwardIsNotOffered"
    AGREEMENT_IS_SIGNED = "AgreementIsSigned"
    ALLOCATION_IS_UNKNOWN = "AllocationIsUnknown"
    ALLOCATION_HAS_BEGUN = "AllocationHasBegun"
    REQUEST_IS_UNKNOWN = "RequestIsUnknown"
    REQUEST_IS_OPEN = "RequestIsOpen"
    REQUEST_IS_DECIDED = "RequestIsDecided"
    REQUEST_NEEDS_A_CAUSE = "RequestNeedsACause"
    NOTHING_TO_APPEAL = "NothingToAppeal"
    NOTHING_IS_FREE = "NothingIsFree"
    PROJECT_IS_UNKNOWN = "ProjectIsUnknown"
    ALLOCATION_IS_OVER = "AllocationIsOver"
    RETURN_IS_TOO_LARGE = "ReturnIsTooLarge"
    # checks, recalls, handover
    USE_IS_CHECKED = "UseIsChecked"
    NOTHING_TO_RECALL = "NothingToRecall"
    RECALL_IS_UNKNOWN = "RecallIsUnknown"
    RECALL_IS_OVER = "RecallIsOver"
    RECALL_IS_NOTICED = "RecallIsNoticed"
    RECALL_IS_NOT_DUE = "RecallIsNotDue"
    RECALL_IS_DISPUTED = "RecallIsDisputed"
    NOBODY_WAITS = "NobodyWaits"
    NOBODY_FITS = "NobodyFits"


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal of one field of a form, with the numbers that its sentence needs."""

    field: str
    refusal: Refusal
    numbers: Mapping[str, int | str] = dataclasses.field(default_factory=dict)

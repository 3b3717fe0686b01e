package record

// Rule names a rule of custody, as it stands in an event that was logged despite it.
type Rule string

// The rules. What each requires is docs/format.md's to say; package state computes which ones an event breaks.
const (
	RuleAcceptedTwice     Rule = "accepted-twice"      // the release was answered already
	RuleAlreadyBegun      Rule = "already-begun"       // seized though it has events
	RuleAlreadyHeld       Rule = "already-held"        // received while somebody in the log holds the exhibit
	RuleDestroyed         Rule = "destroyed"           // the exhibit is no more
	RuleEndorsedTwice     Rule = "endorsed-twice"      // the same key has endorsed the event before
	RuleErased            Rule = "erased"              // it names data that was erased by order
	RuleFuture            Rule = "future"              // said to have happened after it was signed
	RuleHandoverOpen      Rule = "handover-open"       // a release waits for its answer
	RuleNoSuchAcquisition Rule = "no-such-acquisition" // it names an image that the log does not have
	RuleNoSuchEvent       Rule = "no-such-event"       // it corrects, or endorses, an event that the exhibit does not have
	RuleNoSuchExhibit     Rule = "no-such-exhibit"     // it is part of an exhibit that the case does not have
	RuleNoSuchRelease     Rule = "no-such-release"     // it answers a release that the exhibit does not have
	RuleNoSuchSeal        Rule = "no-such-seal"        // it takes off a seal that is not on
	RuleNotBegun          Rule = "not-begun"           // the exhibit has no event yet
	RuleNotHolder         Rule = "not-holder"          // whoever signs does not hold the exhibit
	RuleNotReceiver       Rule = "not-receiver"        // the release names another receiver
	RuleNotRestricted     Rule = "not-restricted"      // it lifts a restriction that is not in force
	RuleOwnSignature      Rule = "own-signature"       // it endorses an event that the same key signed
	RuleRecoveryPhrase    Rule = "recovery-phrase"     // its text has the form of the key of a cryptocurrency wallet
	RuleRestricted        Rule = "restricted"          // a restriction forbids it
	RuleSealed            Rule = "sealed"              // examined while a seal is on
	RuleSealedTwice       Rule = "sealed-twice"        // it puts on a seal whose number was used before
	RuleSealsDiffer       Rule = "seals-differ"        // the seals found are not those that are on
	RuleTooEarly          Rule = "too-early"           // said to have happened before the exhibit last changed hands
)

// Rules lists every rule, sorted.
var Rules = []Rule{RuleAcceptedTwice, RuleAlreadyBegun, RuleAlreadyHeld, RuleDestroyed, RuleEndorsedTwice, RuleErased, RuleFuture, RuleHandoverOpen, RuleNoSuchAcquisition,
	RuleNoSuchEvent, RuleNoSuchExhibit, RuleNoSuchRelease, RuleNoSuchSeal, RuleNotBegun, RuleNotHolder, RuleNotReceiver, RuleNotRestricted, RuleOwnSignature,
	RuleRecoveryPhrase, RuleRestricted, RuleSealed, RuleSealedTwice, RuleSealsDiffer, RuleTooEarly}

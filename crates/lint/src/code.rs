//! The kinds of findings, by names that stay.

/// A kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    pub name: &'static str,
    /// What it means, in one sentence.
    pub meaning: &'static str,
}

const fn code(name: &'static str, meaning: &'static str) -> Code {
    Code { name, meaning }
}

/// All of them, sorted by name.
pub const CODES: &[Code] = &[
    code("allow-list", "An Allow rule turns its class of the whole workload into an allow-list."),
    code("broken-pattern", "A pattern cannot be read."),
    code(
        "contradictory",
        "An Allow and a Block disagree and neither is an exception to the other.",
    ),
    code("directory-without-slash", "A directory is written without a slash at its end."),
    code("does-not-fit", "The rules cannot be put in force together."),
    code("duplicate-key", "A key is written twice; the last one counts."),
    code("duplicate-policy", "Two policies have one kind, namespace and name."),
    code("empty-rule", "A rule names nothing."),
    code("empty-spec", "A policy has no rule."),
    code("empty-value", "A field is written without a value."),
    code("ignored-field", "A field has no effect where it stands."),
    code("ignored-value", "A value counts as another one where it stands."),
    code("invalid-value", "A value is none that the field can have."),
    code("literal-glob", "A glob character means itself where it stands."),
    code("missing-api-version", "A document has no apiVersion."),
    code("missing-field", "A field is missing that has to be there."),
    code("missing-kind", "A document has no kind."),
    code("missing-name", "A policy has no name."),
    code("missing-selector", "A policy for nodes selects none and concerns all."),
    code("never-matches", "A value can never match anything."),
    code("no-policy", "A text holds no policy."),
    code("not-a-negation", "An exclamation mark in a class of characters means itself."),
    code("not-analysed", "The rules are too many or too involved to be looked at together."),
    code("not-enforced-yet", "Nothing enforces such rules yet, whichever the enforcer."),
    code("not-expressible", "The enforcer in question cannot hold the rule."),
    code("odd-name", "Kubernetes does not take the name."),
    code("pattern-in-path", "A path has glob characters and is a pattern."),
    code("selects-everything", "A selector that looks like a choice selects everything."),
    code("shadowed", "A rule never decides, since others decide before it."),
    code("syntax", "A document is neither YAML nor JSON."),
    code("tab", "A tab stands where some decoders refuse it."),
    code("unknown-field", "A field is unknown in its place and passed over."),
    code("unknown-kind", "The kind is none of the four."),
    code("unknown-version", "The apiVersion is unknown."),
    code("wrong-type", "A value has the wrong type."),
];

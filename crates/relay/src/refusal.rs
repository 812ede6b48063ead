//! What went wrong with the API server or an agent, in one line for people.

use std::error::Error;

/// What the API server said, if it was that which refused; else the error with its causes.
pub(crate) fn told(error: &(dyn Error + 'static)) -> String {
    let chain = || std::iter::successors(Some(error), |&error| error.source());
    let said = chain().find_map(|error| match error.downcast_ref::<kube::Error>()? {
        kube::Error::Api(status) => Some(status.message.clone()),
        _ => None,
    });
    said.unwrap_or_else(|| {
        chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.as_str() {
            "" => cause,
            text if text.contains(&cause) => text.to_owned(),
            text => format!("{text}: {cause}"),
        })
    })
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("watching: {0}")]
    struct Watching(#[source] kube::Error);

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_api_server() {
        let status = Status::failure("pods is forbidden", "Forbidden").with_code(403);
        assert_eq!(told(&Watching(kube::Error::Api(Box::new(status)))), "pods is forbidden");
        let other = std::io::Error::other(std::io::Error::from_raw_os_error(111));
        assert_eq!(told(&other), "Connection refused (os error 111)", "each cause once");
    }
}

//! What the node of the test bed's cluster and the machine that starts it agree on.

/// Where the node has what it was started with.
pub const DIRECTORY: &str = "/cluster";
/// Below [`DIRECTORY`]: programs.
pub const PROGRAMS: &str = "bin";
/// Below [`DIRECTORY`]: certificates and keys, and the files that name the API server.
pub const CERTIFICATES: &str = "pki";
/// Below [`DIRECTORY`]: archives of container images.
pub const IMAGES: &str = "images";
/// The node's door: a port for `CONNECT`, by which the API server comes to the node's network, for `GET /log/NAME`, and
/// for what is asked of the node itself.
pub const DOOR: u16 = 8132;
/// `POST` of this ends the node's programs and the machine.
pub const STOP: &str = "/stop";
/// `POST` of this boots it anew, with the disks as they are.
pub const REBOOT: &str = "/reboot";
/// `POST` of this, with a program and its arguments a line each, runs it on the node, outside all containers. The answer
/// has what it printed, and is a success if the program's end was.
pub const RUN: &str = "/run";
/// On the console when the kubelet has been started.
pub const STARTED: &str = "node: the kubelet is started";

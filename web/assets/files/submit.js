// Sends the only form of a page on, for browsers that run scripts. Without one
// the user presses its button.
document.forms[0].submit();

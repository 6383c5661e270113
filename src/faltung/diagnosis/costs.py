"""Every number that weighs one explanation against another, in one table.

The cost of a candidate is the size of its change less the evidence for it, in units of one ordinary change; the
cheapest candidate that runs is the first fix. Nothing else in the diagnosis holds a weight. The numbers are set by
hand, and hold as far as the corpus of mistakes in tests/diagnosis/cases shows: tests/diagnosis/test_corpus.py counts
how many are ranked first, so that a changed number shows.
"""

# How costs become confidences
TEMPERATURE = 0.35  # two fixes whose costs differ by this much stand as e to 1
SOMETHING_ELSE = 3.0  # the cost of what was meant being none of the fixes
WORTH_SAYING = 1.6  # a fix that costs this much more than the best is left out
RIVAL = 0.6  # a second cause with this share of the first one's confidence: two readings fit
REFUSED_LATER = 0.5  # with the change, a later layer refuses
EMPTY_RESULT = 1.0  # with the change, the result has an axis of length 0

# Reading the data: what is changed
NEW_BATCH = 1.15  # a batch of one is put around it
NEW_CHANNELS = 1.0  # a channel is added, and the layer would take any number of them
NEW_ONLY_CHANNEL = 0.8  # a channel is added, and the layer was made for one
NEW_FEATURES = 1.0  # an axis of features is added
NEW_SPATIAL_AXIS = 2.4  # an axis of length 1 is added for the window to slide along
DROPPED_AXIS = 0.8  # an axis of size 1 is left out
MERGED_AXES = 1.6  # two axes become the batch
MERGED_FAR_APART = 0.8  # … which do not stand side by side
MOVED_CHANNELS = 1.0  # channels and spatial axes change places
MOVED_BATCH = 1.6  # the batch does not come first
MOVED_SPATIAL = 1.5  # height and width, say, change places
CHANNELS_BETWEEN = 0.8  # one sample whose channels stand between its spatial axes
BEFORE_A_LAYER = 0.6  # axes are moved in the middle of a model
GOT_THIS_FAR = 0.4  # data that earlier layers took as it is is moved nevertheless

# Reading the data: what its numbers say; evidence for a reading is taken off its cost
CHANNELS_FIT_ALONE = 1.0  # for: the only axis that has exactly the layer's channels
CHANNELS_FIT = 0.6  # for: an axis that has them, beside others
ONE_CHANNEL_FITS = 0.2  # for: an axis of size 1, for a layer of one channel
MANY_CHANNELS = 0.6  # against: more than 8 channels, and more than there are steps
FAR_MORE_CHANNELS = 0.5  # against: more than 4 times as many channels as steps
COLOURS = 0.3  # for: 1, 3 or 4 channels of a picture
NO_COLOURS = 0.4  # against: more than 4 channels of what may be a picture
COLOURS_ELSEWHERE = 0.4  # against a new channel: 3 or 4 stand on a spatial axis, a picture that has its colours
SQUARE = 0.7  # for: height and width are equal, 8 or more
LONG_PICTURE = 0.6  # against: one side is more than 8 times the other
WINDOW_ON_ONE = 1.5  # against: a window that slides along an axis of size 1
WINDOW_TOO_LONG = 1.0  # against: a window longer than its axis
WINDOW_NEARLY_TOO_LONG = 0.3  # against: a window longer than half its axis

# Where nothing is known of a model: blind changes
BLIND_AXIS = 1.5  # an axis is added at the front
BLIND_AXIS_LATER = 0.1  # … and for each place further back
BLIND_DROP = 1.0  # an axis of size 1 is left out
BLIND_EXCHANGE = 1.8  # two axes change places

# What was declared of the input
REDECLARED = 1.3  # the model is declared anew for the data
REDECLARED_LENGTH = 1.0  # … where only lengths differ
BATCH_DECLARED = 0.2  # the batch stands in input_shape, where Keras adds it itself
MOVED_AND_REDECLARED = 1.6  # declared anew for the data in another order
MOVED_AND_BATCH_DECLARED = -0.7  # … where the batch in input_shape explains the order
FLAT_AS_DECLARED = 0.3  # the data has, in several axes, just the features that were declared
LENGTH_AS_DECLARED = 1.1  # the data is cut or filled to the declared length
GREY_REPEATED = 1.35  # one channel is repeated for a layer of colours
TRANSPARENCY_CUT = 1.0  # the fourth channel is cut off for a layer of three

# Channels and features of a layer
OTHER_IN_CHANNELS = 1.2  # the layer is made for the channels that come
OTHER_IN_CHANNELS_LATER = -0.3  # … inside a model, where no data can be read in another way
LOOKS_LIKE_A_BATCH = 0.8  # … where the channels that come may be a batch
CHANNELS_LIKE_STEPS = 0.6  # … where they are more than the steps
CHANNELS_LIKE_MANY_STEPS = 0.9  # … where they are 1.5 times the steps and more
STEPS_FOR_MANY = 1.5  # how many times
OTHER_OUT_CHANNELS = 1.1  # the convolution before gives what this one was made for
OTHER_NORM = 0.8  # the norm is made for the channels that come
OTHER_FEATURES = 0.7  # the dense layer is made for the features that come
NOT_FLATTENED = 0.1  # nothing flattens, and flattened it would fit
NOT_FLATTENED_OTHER_FEATURES = 1.3  # nothing flattens, and the layer is made for what that gives
BATCH_MERGED = 0.2  # Flatten(0) merges the batch
BATCH_MERGED_OTHER_FEATURES = 0.5  # … and the dense layer is made for what one sample has
FLATTENED_TOO_EARLY = 0.4  # a Flatten stands before a layer that needs the axes
VIEW_SIZE = 0.6  # a view of the model's own code does not fit the sample

# Layout and rank
OTHER_LAYOUT = 0.95  # the layer is told the other order of axes
OTHER_LAYOUT_KERAS = 0.3  # … in Keras, where data is moved more often than layers
OTHER_LAYOUT_BUILT = 0.3  # … for a layer that knows its channels already
ARGUMENTS_EXCHANGED = 0.5  # input and kernel stand in each other's place
OTHER_KERNEL_LAYOUT = 0.9  # the kernel lies the other way
OTHER_LAYOUTS = 1.0  # both the data and the kernel do
ODD_WINDOW = 0.8  # a kernel read so that its window is not square
ODD_LONG_WINDOW = 0.4  # … or is longer than there are outputs
ODD_LONGEST_WINDOW = 0.3  # … or than 16
OTHER_RANK = 1.5  # the same layer for another number of spatial axes
OTHER_RANK_AND_AXIS = 1.7  # … and an axis more

# Options that do not go together
KERNEL_RANK_OF_LAYER = 1.0  # the layer gets the rank of its kernel
KERNEL_RANK_OF_KERNEL = 1.3  # the kernel gets the rank of its layer
OTHER_GROUPS = 0.8  # groups that divide
ROUNDED_OUT_CHANNELS = 0.9  # outputs that the groups divide
SAME_AS_NUMBERS = 0.6  # padding "same" with a stride as numbers, in PyTorch
SAME_WITHOUT_STRIDE = 1.3  # … or stride 1
DILATION_WITHOUT_STRIDE = 0.8  # of stride and dilation in Keras the stride goes
STRIDE_WITHOUT_DILATION = 0.9  # … or the dilation
CAUSAL_CHANNELS_LAST = 0.6  # causal padding with channels last
CAUSAL_AS_SAME = 1.2  # … or "same"
LESS_OUTPUT_PADDING = 0.6  # output_padding below the stride
STRIDE_FOR_OUTPUT_PADDING = 0.9  # … or a stride above it

# Lengths
LOOKS_SWAPPED = 0.9  # the data has over 4 times as many channels as steps: it is not the length that is wrong
PADDED = 1.0  # the layer pads
PADDED_BEFORE = 1.15  # the convolutions before it pad too
WINDOW_TURNED = 0.7  # a window of unequal sides lies across the wrong axes
LESS_DILATION = 1.0  # taps that stand closer
SMALLER_WINDOW = 1.2  # fewer taps
WINDOW_OF_ONE = 0.5  # … so few that nothing slides
LONGER_DATA = 1.0  # the data is filled to what the model needs
TWICE_THE_DATA = 0.4  # … for each doubling
NEAREST_LENGTH = 0.9  # the data is filled to a length that the model's own code can join
NEAREST_SHORTER = 0.1  # … or cut
REPLICATED = 0.8  # replication in place of a reflection longer than the data
LESS_REFLECTED = 0.9  # … or less padding

# Numbers, devices and containers: confidences themselves, since nothing competes
CAST_DATA = 0.85  # the data takes the type of the weights
CAST_WEIGHTS = 0.15  # the weights take the type of the data
MOVE_DATA = 0.7  # the data goes to the device of the weights
MOVE_WEIGHTS = 0.3  # the weights go to that of the data
UNPACKED = 0.9  # numbers are taken out of a sparse, ragged or complex container

# Warnings: correlations of neighbours along an axis, from which on they are evidence
SMOOTH = 0.9  # a series
VERY_SMOOTH = 0.95  # a recording cut into samples
ROUGH = 0.5  # below: no series
